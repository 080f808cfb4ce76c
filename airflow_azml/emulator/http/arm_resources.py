"""What all v2 resources have in common: id, name, type, who made them when, and how they refer to each other.

A resource's document keeps `created` and `modified`; its path below the workspace says the rest.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.limits import bounded
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document

FULL_REFERENCE = re.compile(r"(?:azureml:)?/.*/(?P<collection>\w+)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
SHORT_REFERENCE = re.compile(r"azureml:(?P<name>[^:/]+):(?P<version>[^:/]+)")
VIEW_NAMES = ("ActiveOnly", "ArchivedOnly", "All")
VIEWS = dict(zip(map(str.casefold, VIEW_NAMES), map(frozenset, ({False}, {True}, {False, True})), strict=True))
PROXY = ("id", "name", "type", "properties", "systemData")
TRACKED = (*PROXY, "location", "tags", "identity", "kind", "sku")


def now() -> str:
    """Return the time as the service writes it."""
    return datetime.now(UTC).isoformat()


def resource_id(path: str) -> str:
    """Return the full id of a path below the workspace, as `environments/sklearn/versions/1`."""
    return f"{facts.WORKSPACE_PATH}/{path}"


def render(path: str, document: Document, properties: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Render a resource of the workspace; the members are those of tracked resources (location, tags, sku ...)."""
    segments = path.split("/")
    return {
        "id": resource_id(path),
        "name": segments[-1],
        "type": "/".join(["Microsoft.MachineLearningServices/workspaces", *segments[::2]]),
        **members,
        "systemData": system_data(document["created"], document["modified"]),
        "properties": properties,
    }


def system_data(created: str, modified: str) -> dict[str, str]:
    """Return who made a resource, who changed it last, and when."""
    maker = {"By": facts.CLIENT_ID, "ByType": "Application"}
    return {
        "createdAt": created,
        "lastModifiedAt": modified,
        **{f"created{name}": value for name, value in maker.items()},
        **{f"lastModified{name}": value for name, value in maker.items()},
    }


def in_view(query: dict[str, str]) -> frozenset[bool]:
    """Return the values of `isArchived` that a list's `listViewType` shows; refuse a view that does not exist."""
    view = query.get("listviewtype", "ActiveOnly")
    if view.casefold() not in VIEWS:
        raise bad_request(f"'{view}' is not a list view type: {', '.join(VIEW_NAMES)}.", target="listViewType")
    return VIEWS[view.casefold()]


def merge_tags(present: dict[str, str], given: dict[str, Any]) -> dict[str, str]:
    """Return the tags as a PATCH changes them: those it names are set, a null removes one, all others stay."""
    for name, value in given.items():
        if not isinstance(value, str | None):
            raise bad_request(f"'tags': the value of '{name}' must be a string or null.", target="tags")
    merged = {**present, **given}
    return bounded({name: value for name, value in merged.items() if value is not None})


def parse_reference(reference: str, collection: str) -> tuple[str, str]:
    """Return name and version of the asset that a resource refers to.

    Read are resource ids, also with `azureml:` before them, `azureml://locations/...` and `azureml:{name}:{version}`.
    Raises the service's 400 for anything else, and a named 501 for assets of registries.
    """
    if "/registries/" in reference.casefold():
        raise Fault(501, "NotImplemented", f"The emulator has no registries: '{reference}'.")
    match = SHORT_REFERENCE.fullmatch(reference) or FULL_REFERENCE.fullmatch(reference)
    if match is None or match.groupdict().get("collection", collection).casefold() != collection:
        raise bad_request(f"'{reference}' is not the id of a version in '{collection}'.")
    return match["name"], match["version"]


def keep_properties(present: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """Return the properties as wanted; refuse to change or lose one: they can only be added."""
    broken = [name for name, value in present.items() if wanted.get(name) != value]
    if broken:
        raise bad_request(f"Properties cannot be changed once they are set: {', '.join(broken)}.", target="properties")
    return wanted
