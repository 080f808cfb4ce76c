"""Similar names, for an error that says that something does not exist.

The missing name is read from the service's message or from the address of the request. Then the existing names are
listed, once or twice, without retries. If they cannot be listed, the error stays as it is.
"""

from __future__ import annotations

import difflib
import re
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from airflow_azml.client.api_versions import ASSETS, INSTANCES
from airflow_azml.client.transport.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_azml.client.routing import Workspace
    from airflow_azml.client.transport.http import Transport

    Reference = tuple[str, str]  # path of a collection below the workspace, and the name that is not in it

_API_VERSIONS: Mapping[str, Mapping[str, str]] = {
    "computes": INSTANCES,
    **dict.fromkeys(("models", "environments", "onlineEndpoints", "deployments", "datastores", "versions"), ASSETS),
}
# What a request names in its body only: a run's compute, a deployment's model.
_WORDS = (
    ("/computes", re.compile(r"(?i)\bcompute\b[^'\"]{0,30}['\"](?P<name>[\w-]+)['\"]")),
    ("/models", re.compile(r"(?i)\bmodel\b[^'\":]{0,30}(?:name:? |['\"])(?P<name>[\w.-]+)")),
)
_ABSENT = re.compile(r"(?i)not[ -]?found|not exist|unknown")
_BAD_REQUEST, _NOT_FOUND = 400, 404
_LISTS, _SHOWN = 2, 5
_TIMEOUT = (5, 15)


def may_name(error: AzureMLError) -> bool:
    """Tell whether an error says that something does not exist."""
    said = error.status_code == _BAD_REQUEST and _ABSENT.search(f"{error.code} {error.message}")
    return error.status_code == _NOT_FOUND or bool(said)


def nearest(http: Transport, workspace: Workspace, error: AzureMLError) -> str:
    """Return a sentence with the names that were probably meant; empty when none is known."""
    for collection, name in islice(_references(http, workspace, error), _LISTS):
        there = _names(http, f"{http.cloud.arm}{workspace.arm_path}{collection}")
        if there and name.casefold() not in {one.casefold() for one in there}:
            return _sentence(name, there)
    return ""


def _references(http: Transport, workspace: Workspace, error: AzureMLError) -> Iterator[Reference]:
    """Yield what may be missing: what the service names, then what the address names, the innermost first."""
    for collection, words in _WORDS:
        if found := words.search(error.message):
            yield collection, found["name"].rstrip(".")
    root, url = f"{http.cloud.arm}{workspace.arm_path}/", urlsplit(error.url)._replace(query="").geturl()
    if url.casefold().startswith(root.casefold()):
        segments = [unquote(segment) for segment in url[len(root) :].split("/")]
        for at in range(len(segments) // 2 * 2 - 2, -1, -2):
            if segments[at] in _API_VERSIONS:
                yield "".join(f"/{quote(segment, safe='')}" for segment in segments[: at + 1]), segments[at + 1]


def _names(http: Transport, url: str) -> list[str]:
    """Return the names on the first page of a list; none when it cannot be read."""
    version = _API_VERSIONS[url.rpartition("/")[2]]
    try:
        answer: Any = http.json("GET", url, operation="list names", params=version, retry="never", timeout=_TIMEOUT)
        return [str(row["name"]) for row in answer["value"]]
    except (AzureMLError, LookupError, TypeError):
        return []


def _sentence(name: str, there: list[str]) -> str:
    known = {one.casefold(): one for one in there}
    if near := [known[one] for one in difflib.get_close_matches(name.casefold(), known)]:
        return f"Did you mean {' or '.join(repr(one) for one in near)}?"
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return f"There is: {', '.join(there[:_SHOWN])}{more}."
