"""Online deployments as requests and answers have them: reading a body, rendering a document.

Read is what Resource Manager's `ManagedOnlineDeployment` (2023-10-01 and its previews) has; what is left out gets the
service's defaults.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.computes import vm_sizes
from airflow_azml.emulator.computes.specs import seconds
from airflow_azml.emulator.endpoints.endpoint_bodies import NAME
from airflow_azml.emulator.http import arm_resources
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.regions import read_location
from airflow_azml.emulator.http.wire import known_members, pick_object, pick_text, pick_texts

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document

PROBE = {
    "failureThreshold": 30,
    "initialDelay": "PT10S",
    "period": "PT10S",
    "successThreshold": 1,
    "timeout": "PT2S",
}
DEFAULTS: dict[str, Any] = {
    "appInsightsEnabled": False,
    "codeConfiguration": None,
    "dataCollector": None,
    "description": None,
    "egressPublicNetworkAccess": "Enabled",
    "endpointComputeType": "Managed",
    "environmentId": None,
    "environmentVariables": {},
    "instanceType": "Standard_F4s_v2",
    "livenessProbe": PROBE,
    "model": None,
    "modelMountPath": None,
    "privateNetworkConnection": None,
    "properties": {},
    "readinessProbe": PROBE,
    "requestSettings": {},
    "scaleSettings": {"scaleType": "Default"},
    "startupProbe": None,
}
REQUEST_SETTINGS = {"maxConcurrentRequestsPerInstance": 1, "maxQueueWait": "PT0.5S", "requestTimeout": "PT5S"}


def read(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a request says of a deployment; refuse what the service refuses or the emulator cannot do."""
    if not NAME.fullmatch(name):
        message = (
            f"Deployment name '{name}' must be 3 to 32 letters, digits and '-', begin with a letter, not end in '-'."
        )
        raise bad_request(message, target="name")
    tracked = known_members(body, "OnlineDeploymentTrackedResource", arm_resources.TRACKED)
    members = (*DEFAULTS, "provisioningState")
    given = known_members(pick_object(tracked, "properties"), "ManagedOnlineDeployment", members)
    spec = {**DEFAULTS, **{member: value for member, value in given.items() if value is not None}}
    _check_kind(spec)
    spec["codeConfiguration"] = _code_configuration(spec)
    _check_instance_type(pick_text(spec, "instanceType"))
    spec["environmentId"] = pick_text(spec, "environmentId")
    spec["model"] = pick_text(spec, "model", default="")
    spec["environmentVariables"] = _variables(spec)
    spec["properties"] = pick_texts(spec, "properties")
    spec["requestSettings"] = {**REQUEST_SETTINGS, **pick_object(spec, "requestSettings")}
    request_timeout(spec)
    _count(spec["requestSettings"], "maxConcurrentRequestsPerInstance")
    sku = {"name": "Default", "capacity": 1, **pick_object(tracked, "sku")}
    _count(sku, "capacity")
    return {
        "location": read_location(tracked, "onlineEndpoints/deployments"),
        "tags": pick_texts(tracked, "tags"),
        "sku": sku,
        "identityType": pick_text(tracked, "identity", "type", default="SystemAssigned"),
        "spec": spec,
    }


def request_timeout(spec: dict[str, Any]) -> float:
    """Return how many seconds a scoring request may take."""
    return seconds(pick_text(spec, "requestSettings", "requestTimeout"), "requestTimeout")


def serving(deployment: Document) -> dict[str, Any]:
    """Return the spec that the deployment serves at present."""
    spec: dict[str, Any] = (deployment["served"] or deployment)["spec"]
    return spec


def most_requests(deployment: Document) -> int:
    """Return how many requests a deployment takes at a time."""
    settings = serving(deployment)["requestSettings"]
    return 2 * int(settings["maxConcurrentRequestsPerInstance"]) * int(deployment["sku"]["capacity"])


def render(deployment: Document) -> dict[str, Any]:
    """Render a deployment."""
    spec = {member: value for member, value in deployment["spec"].items() if member != "privateNetworkConnection"}
    return arm_resources.render(
        f"onlineEndpoints/{deployment['endpoint']}/deployments/{deployment['name']}",
        deployment,
        {**spec, "model": spec["model"] or None, "provisioningState": deployment["state"]},
        location=deployment["location"],
        tags=deployment["tags"],
        sku={"tier": "Standard", **deployment["sku"]},
        kind="Managed",
        identity={"type": deployment["identityType"]},
    )


def _check_kind(spec: dict[str, Any]) -> None:
    if pick_text(spec, "endpointComputeType").casefold() != "managed":
        raise Fault(501, "NotImplemented", "The emulator has managed online deployments only.")
    if spec["codeConfiguration"] is None:
        raise Fault(501, "NotImplemented", "The emulator needs a codeConfiguration: it has no scoring code of its own.")


def _check_instance_type(size: str) -> None:
    if not vm_sizes.is_known(size):
        raise bad_request(f"The instance type '{size}' is not a supported VM size.", target="instanceType")


def _code_configuration(spec: dict[str, Any]) -> dict[str, str]:
    given = known_members(pick_object(spec, "codeConfiguration"), "CodeConfiguration", ("codeId", "scoringScript"))
    script = PurePosixPath(pick_text(given, "scoringScript"))
    if script.is_absolute() or ".." in script.parts or "\0" in str(script):
        raise bad_request(f"The scoring script '{script}' must lie in the code.", target="scoringScript")
    return {"codeId": pick_text(given, "codeId"), "scoringScript": str(script)}


def _count(body: dict[str, Any], name: str) -> None:
    if type(body[name]) is not int or body[name] < 1:
        raise bad_request(f"'{name}' must be a positive whole number.", target=name)


def _variables(spec: dict[str, Any]) -> dict[str, str]:
    variables = pick_texts(spec, "environmentVariables")
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise bad_request(f"'{name}' cannot be an environment variable.", target="environmentVariables")
    return variables
