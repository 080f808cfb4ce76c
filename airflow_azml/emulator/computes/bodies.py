"""A compute as the service shows it: `ComputeResource` and `AmlComputeNodesInformation` of the specification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.computes import nodes
from airflow_azml.emulator.computes.specs import CLUSTER
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document

IMAGE = "24.05.30"  # version of the operating system that an instance is said to have
UNSET = dict.fromkeys((
    "autologgerSettings", "containers", "dataDisks", "dataMounts", "imageSku", "imageVersion",
    "personalComputeInstanceSettings", "setupScripts", "updateStatus",
))  # fmt: skip
UNUSED: dict[str, Any] = {
    "customServices": [],
    "enableBatchPrivateLink": False,
    "enableNodePublicIp": True,
    "enableOSPatching": False,
    "enableRootAccess": True,
    "enableSSO": True,
    "osImageMetadata": {"currentImageVersion": IMAGE, "latestImageVersion": IMAGE, "isLatestOsImageVersion": True},
    "releaseQuotaOnStop": False,
    "schedules": {"computeStartStop": []},
    "versions": {"runtime": "2.4.0"},
}


def resource(compute: Document) -> dict[str, Any]:
    """The whole resource."""
    spec = compute["spec"]
    identity = {"type": spec["identity"], "principalId": facts.WORKSPACE_ID, "tenantId": facts.TENANT}
    return {
        "id": f"{facts.WORKSPACE_PATH}/computes/{compute['name']}",
        "name": compute["name"],
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": spec["location"],
        "tags": spec["tags"],
        **({"identity": identity} if spec["identity"] else {}),
        "properties": {
            "computeType": spec["computeType"],
            "computeLocation": spec["location"],
            "description": spec["description"],
            "provisioningState": compute["provisioningState"],
            "provisioningErrors": compute.get("provisioningErrors", []),
            "provisioningWarnings": {},
            "createdOn": compute["createdOn"],
            "modifiedOn": compute["modifiedOn"],
            "resourceId": None,  # of an attached resource; azureml-core refuses a compute without this member
            "isAttachedCompute": False,
            "disableLocalAuth": False,
            "properties": _cluster(compute) if spec["computeType"] == CLUSTER else _instance(compute),
        },
    }


def node_list(compute: Document) -> dict[str, Any]:
    """The nodes of a cluster."""
    return {"computeType": CLUSTER, "nodes": [_node(node) for node in compute["nodes"]]}


def _cluster(compute: Document) -> dict[str, Any]:
    spec, counts = compute["spec"], nodes.counts(compute["nodes"])
    moved = max((node["since"] for node in compute["nodes"]), default=None)
    moved_on = datetime.fromtimestamp(moved, UTC).isoformat() if moved else compute["createdOn"]
    administrator = (
        {"userAccountCredentials": {"adminUserName": spec["adminUserName"]}} if spec["adminUserName"] else {}
    )
    return {
        "osType": spec["osType"],
        "vmSize": spec["vmSize"],
        "vmPriority": spec["vmPriority"],
        "virtualMachineImage": None,
        "isolatedNetwork": False,
        "enableNodePublicIp": True,
        "enableBatchPrivateLink": False,
        "propertyBag": {},
        "scaleSettings": {key: value for key, value in spec["scaleSettings"].items() if key != "idleSeconds"},
        **administrator,
        **_subnet(spec),
        "remoteLoginPortPublicAccess": _remote_login(spec),
        "allocationState": "Resizing" if counts["preparing"] or counts["leaving"] else "Steady",
        "allocationStateTransitionTime": moved_on,
        "errors": [],
        "currentNodeCount": len(compute["nodes"]) - counts["preparing"],
        "targetNodeCount": len(compute["nodes"]) - counts["leaving"],
        "nodeStateCounts": {f"{state}NodeCount": number for state, number in counts.items()},
    }


def _remote_login(spec: dict[str, Any]) -> str:
    """The default is decided at creation: open without a virtual network, closed within one."""
    if spec["remoteLogin"] != "NotSpecified":
        return str(spec["remoteLogin"])
    return "Disabled" if spec["subnet"] else "Enabled"


def _instance(compute: Document) -> dict[str, Any]:
    spec, busy = compute["spec"], nodes.counts(compute["nodes"])["running"]
    state = "JobRunning" if compute["state"] == "Running" and busy else compute["state"]
    status = "InProgress" if compute["change"] else "Succeeded"
    return {
        **UNSET,
        "vmSize": spec["vmSize"],
        **_subnet(spec),
        "applicationSharingPolicy": spec["applicationSharingPolicy"],
        "sshSettings": {
            "sshPublicAccess": spec["sshPublicAccess"],
            "adminUserName": "azureuser",
            "sshPort": 50000,
            "adminPublicKey": spec["adminPublicKey"],
        },
        "computeInstanceAuthorizationType": "personal",
        "connectivityEndpoints": {"publicIpAddress": "192.0.2.4", "privateIpAddress": "10.0.0.4"},
        "applications": [],
        **UNUSED,
        "createdBy": {"userName": facts.CLIENT_ID, "userOrgId": facts.TENANT, "userId": facts.WORKSPACE_ID},
        "errors": [],
        "state": state,
        "lastOperation": {**compute["lastOperation"], "operationStatus": status, "operationTrigger": "User"},
    }


def _subnet(spec: dict[str, Any]) -> dict[str, Any]:
    return {"subnet": {"id": spec["subnet"]} if spec["subnet"] else None}


def _node(node: nodes.Node) -> dict[str, Any]:
    number = node["number"]
    run = {"runId": node["run"]} if node["run"] else {}
    return {
        "nodeId": node["id"],
        "privateIpAddress": f"10.0.{(number + 4) // 256}.{(number + 4) % 256}",
        "publicIpAddress": "192.0.2.1",  # an address of RFC 5737: nothing listens there
        "port": 50000 + number,
        "nodeState": node["state"],
        **run,
    }
