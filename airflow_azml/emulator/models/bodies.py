"""Models on the wire: the flat resource of model management (v1) and the versions of Resource Manager (v2).

A version is kept under the names of v1, plus `locations` and what only v2 knows. Members that the service leaves empty
are left out of v1 answers, whose published schema has no nulls, and are null in v2 answers, as the service has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import arm_resources, json_patch
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import known_members, pick, pick_object, pick_text, pick_texts
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.models import files
from airflow_azml.emulator.models.registry import NUMBER

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document

V1_TEXTS = (
    "description", "framework", "frameworkVersion", "experimentName", "parentModelId", "runId",
    "sampleInputData", "sampleOutputData",
)  # fmt: skip
V1_EDITABLE = ("description", "properties", "datasets", "sampleInputData", "sampleOutputData", "resourceRequirements")
V2_CONTAINER = ("description", "isArchived", "properties", "tags", "latestVersion", "nextVersion", "provisioningState")
V2_VERSION = (
    "datasets", "description", "flavors", "isAnonymous", "isArchived", "jobName", "modelType", "modelUri",
    "properties", "provisioningState", "stage", "tags", "systemMetadata", "autoDeleteSetting", "intellectualProperty",
)  # fmt: skip
V2_SAME = (
    "description", "tags", "properties", "isArchived", "isAnonymous", "flavors", "modelType", "stage", "datasets",
)  # fmt: skip
V2_ONLY: dict[str, Any] = {
    "modelType": "custom_model",
    "stage": None,
    "flavors": {},
    "isArchived": False,
    "isAnonymous": False,
}


def read_v1(body: dict[str, Any]) -> dict[str, Any]:
    """Read the body of MLModels_Register, but for what its `url` leads to."""
    return {
        **V2_ONLY,
        **{name: _text(body, name) for name in V1_TEXTS},
        "url": pick_text(body, "url"),
        "mimeType": pick_text(body, "mimeType"),
        "unpack": _flag(body, "unpack"),
        "tags": pick_texts(body, "kvTags"),
        "properties": pick_texts(body, "properties"),
        "datasets": _objects(body, "datasets"),
        "resourceRequirements": pick_object(body, "resourceRequirements") or None,
    }


def render_v1(model: Document) -> dict[str, Any]:
    """Render a version as `Model` of the modelManagement specification."""
    members = {
        "id": f"{model['name']}:{model['version']}",
        "name": model["name"],
        "version": int(model["version"]),
        "createdTime": model["created"],
        "modifiedTime": model["modified"],
        "createdBy": {"userObjectId": facts.CLIENT_ID, "userTenantId": facts.TENANT, "userName": facts.CLIENT_ID},
        "kvTags": model["tags"],
        "derivedModelIds": [],
    }
    same = (*V1_TEXTS, "url", "mimeType", "unpack", "properties", "datasets", "resourceRequirements")
    members |= {name: model[name] for name in same if model[name] is not None}
    return members


def patch_v1(model: Document, operations: Any) -> None:
    """Change what may change of a version by a JSON Patch of its v1 form."""
    editable = {"kvTags": model["tags"], **{name: model[name] for name in V1_EDITABLE}}
    wanted = json_patch.patched(editable, operations)
    model["tags"] = pick_texts(wanted, "kvTags")
    model["properties"] = arm_resources.keep_properties(model["properties"], pick_texts(wanted, "properties"))
    model["datasets"] = _objects(wanted, "datasets")
    model["resourceRequirements"] = pick_object(wanted, "resourceRequirements") or None
    model.update({name: _text(wanted, name) for name in ("description", "sampleInputData", "sampleOutputData")})


def has_v1_version(model: Document) -> bool:
    """Tell whether v1 can show the version: its versions are numbers."""
    return NUMBER.fullmatch(model["version"]) is not None


def read_v2(body: dict[str, Any]) -> dict[str, Any]:
    """Read the body of Model Versions - Create Or Update."""
    resource = known_members(body, "ModelVersionResource", arm_resources.PROXY)
    given = known_members(pick_object(resource, "properties"), "ModelVersion", V2_VERSION)
    uri = pick_text(given, "modelUri")
    location = files.of_uri(uri)
    canonical = files.uri_of(location, uri)
    return {
        **dict.fromkeys((*V1_TEXTS, "resourceRequirements")),
        "locations": [location],
        "url": canonical,
        "mimeType": "application/x-python",
        "unpack": False,
        "runId": _text(given, "jobName") or files.job_of(uri),
        **_said_of_v2(given),
        "datasets": _objects(given, "datasets"),
        "modelType": pick_text(given, "modelType", default="custom_model"),
        "isAnonymous": _flag(given, "isAnonymous"),
        "flavors": pick_object(given, "flavors"),
    }


def update_v2(model: Document, fields: dict[str, Any]) -> None:
    """Write over a version what a later PUT of it may say; its files never change.

    Raises the service's 400 when they would.
    """
    if list(map(tuple, model["locations"])) != fields["locations"]:
        raise bad_request("Asset paths cannot be updated.", code="UserError", target="modelUri")
    model.update({name: fields[name] for name in ("description", "tags", "stage", "isArchived")})
    present = model["properties"]
    model["properties"] = arm_resources.keep_properties(present, {**present, **fields["properties"]})


def render_v2(model: Document) -> dict[str, Any]:
    """Render a version as Resource Manager's `ModelVersion`."""
    properties = {
        **{name: model[name] for name in V2_SAME},
        "stage": model["stage"] or "Development",
        "autoDeleteSetting": None,
        "intellectualProperty": None,
        "jobName": model["runId"],
        "modelUri": files.uri_of(tuple(model["locations"][0]), model["url"]),
        "provisioningState": "Succeeded",
    }
    return arm_resources.render(f"models/{model['name']}/versions/{model['version']}", model, properties)


def read_container(body: dict[str, Any]) -> dict[str, Any]:
    """Read the body of Model Containers - Create Or Update."""
    resource = known_members(body, "ModelContainerResource", arm_resources.PROXY)
    given = known_members(pick_object(resource, "properties"), "ModelContainer", V2_CONTAINER)
    return {name: value for name, value in _said_of_v2(given).items() if name != "stage"}


def render_container(container: Document, versions: list[Document]) -> dict[str, Any]:
    """Render a name as Resource Manager's `ModelContainer`.

    :param versions: its versions, the newest first.
    """
    properties = {
        **{name: container[name] for name in ("description", "tags", "properties", "isArchived")},
        "latestVersion": versions[0]["version"] if versions else None,
        "nextVersion": str(container["next"]),
        "provisioningState": "Succeeded",
    }
    return arm_resources.render(f"models/{container['name']}", container, properties)


def _said_of_v2(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": _text(given, "description"),
        "stage": _text(given, "stage"),
        "isArchived": _flag(given, "isArchived"),
        "tags": pick_texts(given, "tags"),
        "properties": pick_texts(given, "properties"),
    }


def _text(body: dict[str, Any], name: str) -> str | None:
    return None if pick(body, name) is None else pick_text(body, name)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = pick(body, name, default=False)
    if not isinstance(value, bool):
        raise bad_request(f"'{name}' must be true or false.", target=name)
    return value


def _objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = pick(body, name, default=[])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad_request(f"'{name}' must be a list of objects.", target=name)
    return value
