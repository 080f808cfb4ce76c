"""What all Resource Manager answers have in common: id, name, type and who made the resource when.

A resource's document keeps `created` and `modified`; its path below the workspace says the rest.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator import facts, identity

if TYPE_CHECKING:
    from airflow_azml.emulator.store import Document


def now() -> str:
    """Return the time as the service writes it."""
    return datetime.now(UTC).isoformat()


def resource_id(path: str) -> str:
    """Return the full id of a path below the workspace, as `environments/sklearn/versions/1`."""
    return f"{facts.WORKSPACE_PATH}/{path}"


def render(path: str, document: Document, properties: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Render a resource of the workspace; the members are those of tracked resources (location, tags, sku ...)."""
    segments = path.split("/")
    maker = {"By": identity.CLIENT_ID, "ByType": "Application"}
    return {
        "id": resource_id(path),
        "name": segments[-1],
        "type": "/".join(["Microsoft.MachineLearningServices/workspaces", *segments[::2]]),
        **members,
        "systemData": {
            "createdAt": document["created"],
            "lastModifiedAt": document["modified"],
            **{f"created{name}": value for name, value in maker.items()},
            **{f"lastModified{name}": value for name, value in maker.items()},
        },
        "properties": properties,
    }
