"""Online endpoints as requests and answers have them: reading a body, rendering a document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import addresses, arm_resources, faults
from airflow_azml.emulator.http.regions import read_location
from airflow_azml.emulator.http.wire import known_members, pick, pick_object, pick_text, pick_texts
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from airflow_azml.emulator.kernel.store import Document

NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]")
AUTH_MODES = {mode.casefold(): mode for mode in ("Key", "AMLToken", "AADToken")}
FULL = 100  # per cent
TRAFFIC_SUMS, MIRROR_SUMS = (0, FULL), range(FULL // 2 + 1)
PROPERTIES = (
    "authMode", "compute", "description", "keys", "mirrorTraffic", "properties", "provisioningState",
    "publicNetworkAccess", "scoringUri", "swaggerUri", "traffic",
)  # fmt: skip


def read(name: str, body: dict[str, Any], deployments: Iterable[str]) -> dict[str, Any]:
    """Return what a request says of an endpoint.

    :param deployments: names of those that the endpoint has: traffic goes to no other.
    """
    if not NAME.fullmatch(name):
        message = (
            f"Endpoint name '{name}' must be 3 to 32 letters, digits and '-', begin with a letter, not end in '-'."
        )
        raise faults.bad_request(message, target="name")
    tracked = known_members(body, "OnlineEndpointTrackedResource", arm_resources.TRACKED)
    properties = known_members(pick_object(body, "properties"), "OnlineEndpoint", PROPERTIES)
    auth_mode = AUTH_MODES.get(pick_text(properties, "authMode").casefold())
    if auth_mode is None:
        raise faults.bad_request("'authMode' must be Key, AMLToken or AADToken.", target="authMode")
    return {
        "location": read_location(tracked, "onlineEndpoints"),
        "tags": pick_texts(tracked, "tags"),
        "identityType": pick_text(tracked, "identity", "type", default="SystemAssigned"),
        "authMode": auth_mode,
        "description": pick(properties, "description"),
        "properties": pick_texts(properties, "properties"),
        "publicNetworkAccess": pick_text(properties, "publicNetworkAccess", default="Enabled"),
        "mirrorTraffic": _shares(name, deployments, properties, "mirrorTraffic", MIRROR_SUMS),
        "traffic": _shares(name, deployments, properties, "traffic", TRAFFIC_SUMS),
    }


def render(endpoint: Document, base: str) -> dict[str, Any]:
    """Render an endpoint; it has no scoring URI before it is created."""
    path = f"onlineEndpoints/{endpoint['name']}"
    scoring = None if endpoint["state"] == "Creating" else addresses.scoring(base, endpoint["name"])
    properties = {
        "authMode": endpoint["authMode"],
        "compute": None,
        "description": endpoint["description"],
        "keys": None,
        "mirrorTraffic": endpoint["mirrorTraffic"],
        "properties": {"azureml.onlineendpointid": arm_resources.resource_id(path).lower(), **endpoint["properties"]},
        "provisioningState": endpoint["state"],
        "publicNetworkAccess": endpoint["publicNetworkAccess"],
        "scoringUri": scoring and f"{scoring}/score",
        "swaggerUri": scoring and f"{scoring}/swagger.json",
        "traffic": endpoint["traffic"],
    }
    identity = {"type": endpoint["identityType"], "principalId": facts.WORKSPACE_ID, "tenantId": facts.TENANT}
    return arm_resources.render(
        path,
        endpoint,
        properties,
        location=endpoint["location"],
        tags=endpoint["tags"],
        kind="Managed",
        identity=identity,
    )


def _shares(
    name: str, deployments: Iterable[str], properties: dict[str, Any], member: str, sums: Container[int]
) -> dict[str, int]:
    given = pick_object(properties, member)
    canonical = {known.casefold(): known for known in deployments}
    for deployment, share in given.items():
        if type(share) is not int or not 0 <= share <= FULL:
            raise faults.bad_request(f"Traffic of '{deployment}' must be a whole number from 0 to 100.")
        if deployment.casefold() not in canonical:
            message = f"Traffic names deployment '{deployment}', which endpoint '{name}' does not have."
            raise faults.bad_request(message, target="traffic")
    traffic = {canonical[deployment.casefold()]: share for deployment, share in given.items()}
    if sum(traffic.values()) not in sums:
        raise faults.bad_request(f"The sum of {member} must not be {sum(traffic.values())} per cent.", target=member)
    return traffic
