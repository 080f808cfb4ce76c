"""The service's rules for names, checked before anything is sent, and ids that we choose ourselves.

The patterns are those of the published OpenAPI files where they have one, else of Microsoft's own clients.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Rule:
    """What a name must be.

    :param words: completes "must be".
    :param pattern: matches the whole name.
    :param collection: the part of an ARM id after which the name stands.
    """

    words: str
    pattern: re.Pattern[str]
    collection: str = ""


_ASSET = "1 to 255 letters, digits, '_' or '-', starting with a letter or digit"
_ASSET_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")
_DOTTED_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_ENDPOINT = "3 to 32 letters, digits or '-', starting with a letter, not ending in '-'"
_ENDPOINT_PATTERN = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{1,30}[a-zA-Z0-9])")
_SIZE = Rule("a VM size such as STANDARD_DS3_V2", re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}"))

RULES: Mapping[str, Rule] = {
    "compute_name": Rule(
        "2 to 32 letters, digits or '-', starting with a letter, not ending in '-'",
        re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])"),
        "computes",
    ),
    "run_id": Rule(
        "1 to 256 letters, digits, '_' or '-', starting with a letter or digit",
        re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}"),
        "jobs|runs",
    ),
    "experiment_name": Rule(_ASSET, _ASSET_PATTERN, "experiments"),
    "asset_name": Rule(_ASSET, _ASSET_PATTERN, "environments|datastores"),
    "model_name": Rule(
        "1 to 255 letters, digits, '-', '.' or '_', starting with a letter or digit", _DOTTED_PATTERN, "models"
    ),
    "model_version": Rule(
        "a version such as 3: letters, digits, '-', '.' or '_', starting with a letter or digit",
        _DOTTED_PATTERN,
        "versions",
    ),
    "endpoint_name": Rule(_ENDPOINT, _ENDPOINT_PATTERN, "onlineEndpoints"),
    "deployment_name": Rule(_ENDPOINT, _ENDPOINT_PATTERN, "deployments"),
    "vm_size": _SIZE,
    "instance_type": _SIZE,
    "source_directory": Rule("the path of a folder", re.compile(r".*\S.*", re.DOTALL)),
    "local_path": Rule("the path of a file or folder", re.compile(r".*\S.*", re.DOTALL)),
    "azureml_conn_id": Rule("the id of an Airflow connection", re.compile(r"[\w#!()\-.:/\\]{1,250}")),
}
"""The rules by the name of the parameter that they are for."""
_UNRENDERED = "; a template renders to this when its value is missing: check the task or variable that should give it"
_SLUG = re.compile(r"[^a-zA-Z0-9]+")
_HASH_CHARACTERS = 12


def check(field: str, value: object, kind: str = "") -> str:
    """Return a name as text, or raise InputError. "None" is no name: a template renders a missing value to it.

    :param field: what the error calls it.
    :param kind: key of `RULES`; the field when empty.
    """
    rule = RULES[kind or field]
    # A native template renders 3 to a number. A fraction is refused: it was 1.10 before it became 1.1.
    known = isinstance(value, int | PurePath) and not isinstance(value, bool)
    text = str(value) if known else value
    if isinstance(text, str) and text != "None" and rule.pattern.fullmatch(text):
        return text
    raise InputError(field, value, _problem(value, rule))


class Check(Protocol):
    """Returns a name as text, or raises InputError."""

    def __call__(self, value: object, field: str = ...) -> str:
        """Check a name.

        :param field: what the error calls it.
        """
        ...


def _check_of(kind: str, called: str = "") -> Check:
    def checked(value: object, field: str = called or kind) -> str:
        return check(field, value, kind)

    return checked


check_compute_name = _check_of("compute_name")
check_run_id = _check_of("run_id")
check_experiment_name = _check_of("experiment_name")
check_asset_name = _check_of("asset_name", "name")  # of a job, environment or other asset
check_model_name = _check_of("model_name")
check_model_version = _check_of("model_version")
check_endpoint_name = _check_of("endpoint_name")
check_deployment_name = _check_of("deployment_name")


def deterministic_id(slug_parts: Iterable[str], *identity: object, max_length: int = 100) -> str:
    """Return an id that is the same for the same identity and valid as a run id, a job id and an experiment name.

    :param slug_parts: what a person should recognise in it; they do not make it unique.
    :param identity: what makes it unique; strings and numbers.
    :param max_length: characters at most.
    """
    digest = hashlib.sha256(json.dumps([str(part) for part in identity]).encode()).hexdigest()[:_HASH_CHARACTERS]
    slug = _SLUG.sub("-", "-".join(slug_parts)).strip("-")[: max_length - _HASH_CHARACTERS - 1].strip("-")
    return f"{slug}-{digest}" if slug else f"r{digest}"


def _problem(value: object, rule: Rule) -> str:
    """Say what is wrong with a name, and what to give instead."""
    if isinstance(value, str) and value.casefold().startswith("/subscriptions/"):
        found = re.search(rf"/(?:{rule.collection})/([^/]+)", value, re.IGNORECASE) if rule.collection else None
        return f"is an ARM id; give the name{f' {found[1]!r}' if found else ''} only"
    missing = value is None or (isinstance(value, str) and value.strip() in {"", "None"})
    return f"must be {rule.words}{_UNRENDERED if missing else ''}"
