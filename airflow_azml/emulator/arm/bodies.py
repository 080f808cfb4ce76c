"""What Resource Manager and the discovery service tell about the one subscription, group and workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import addresses, arm_resources
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.operations import UNDER_WAY

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document

GROUP_PATH = f"/subscriptions/{facts.SUBSCRIPTION}/resourceGroups/{facts.RESOURCE_GROUP}"
SERVICES = (
    "api", "artifact", "catalog", "content", "execution", "experimentation", "gallery", "history", "hyperdrive",
    "jasmine", "labeling", "metric", "metrics", "modelmanagement", "notebooks", "pipelines", "project_content",
    "run_history", "snapshot",
)  # fmt: skip

CREATED = "2026-01-01T00:00:00.0000000Z"
PLAIN: dict[str, Any] = {  # what nobody has asked this workspace to be
    "EnableSoftwareBillOfMaterials": False,
    "allowRoleAssignmentOnRG": False,
    "enableDataIsolation": False,
    "enableServiceSideCMKEncryption": False,
    "hbiWorkspace": False,
    "imageBuildCompute": None,
    "ipAllowlist": [],
    "linkedModelInventoryArmId": None,
    "managedNetwork": {"isolationMode": "Disabled", "changeableIsolationModes": []},
    "privateLinkCount": 0,
    "provisioningState": "Succeeded",
    "publicNetworkAccess": "Enabled",
    "serverlessComputeSettings": None,
    "softDeleteEnabled": False,
    "storageHnsEnabled": False,
    "systemDatastoresAuthMode": "accesskey",
    "v1LegacyMode": False,
}


def subscription() -> dict[str, Any]:
    """The subscription."""
    return {
        "id": f"/subscriptions/{facts.SUBSCRIPTION}",
        "subscriptionId": facts.SUBSCRIPTION,
        "tenantId": facts.TENANT,
        "displayName": "airflow-azml emulator",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def resource_group() -> dict[str, Any]:
    """The resource group."""
    return {
        "id": GROUP_PATH,
        "name": facts.RESOURCE_GROUP,
        "type": "Microsoft.Resources/resourceGroups",
        "location": facts.LOCATION,
        "tags": {},
        "properties": {"provisioningState": "Succeeded"},
    }


def workspace(base: str) -> dict[str, Any]:
    """The workspace, whose addresses lead back to where the caller came from."""
    regional = addresses.regional(base)
    return {
        "id": facts.WORKSPACE_PATH,
        "name": facts.WORKSPACE,
        "type": "Microsoft.MachineLearningServices/workspaces",
        "location": facts.LOCATION,
        "tags": {},
        "etag": None,
        "kind": "Default",
        "sku": {"name": "Basic", "tier": "Basic"},
        "identity": {"type": "SystemAssigned", "principalId": facts.WORKSPACE_ID, "tenantId": facts.TENANT},
        "systemData": arm_resources.system_data(CREATED, CREATED),
        "properties": {
            **PLAIN,
            "workspaceId": facts.WORKSPACE_ID,
            "friendlyName": facts.WORKSPACE,
            "description": "Azure Machine Learning on this machine",
            "creationTime": CREATED,
            "storageAccount": _resource("Microsoft.Storage/storageAccounts", facts.STORAGE_ACCOUNT),
            "keyVault": _resource("Microsoft.KeyVault/vaults", "local"),
            "applicationInsights": _resource("Microsoft.Insights/components", "local"),
            "containerRegistry": _resource("Microsoft.ContainerRegistry/registries", "local"),
            "sasGetterUri": "",
            "sdkTelemetryAppInsightsKey": facts.WORKSPACE_ID,
            "notebookInfo": {
                "resourceId": facts.WORKSPACE_ID.replace("-", ""),
                "fqdn": "notebooks.invalid",
                "isPrivateLinkEnabled": False,
                "notebookPreparationError": None,
            },
            "discoveryUrl": f"{regional}/discovery",
            "mlFlowTrackingUri": f"azureml://{regional.partition('://')[2]}/mlflow/v1.0{facts.WORKSPACE_PATH}",
            "tenantId": facts.TENANT,
        },
    }


def operation(document: Document, operation_id: str, path: str) -> dict[str, Any]:
    """A long-running operation on an endpoint or a deployment: while it is under way, it is `Updating`."""
    under_way = document["status"] == UNDER_WAY
    return {
        "id": path,
        "name": operation_id,
        "status": "Updating" if under_way else document["status"],
        "startTime": _time(document["began"]),
        **({} if under_way else {"endTime": _time(document["ended"])}),
        "percentComplete": document.get("percentComplete", 0.0),
        **({"error": document["error"]} if "error" in document else {}),
    }


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def discovery(base: str) -> dict[str, str]:
    """Where each service is: all are here."""
    return {**dict.fromkeys(SERVICES, addresses.regional(base)), "studio": addresses.studio(base)}


def cloud(base: str) -> dict[str, Any]:
    """The cloud's endpoints, as `/metadata/endpoints` lists them."""
    return {
        "name": "AzureCloud",
        "portal": "https://portal.azure.com",
        "authentication": {
            "loginEndpoint": addresses.login(base),
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graphAudience": "https://graph.windows.net/",
        "graph": "https://graph.windows.net/",
        "resourceManager": addresses.resource_manager(base),
        "activeDirectoryDataLake": "https://datalake.azure.net/",
        "batch": "https://batch.core.windows.net/",
        "gallery": "https://gallery.azure.com/",
        "media": "https://rest.media.azure.net",
        "sqlManagement": "https://management.core.windows.net:8443/",
        "vmImageAliasDoc": f"{base}/aliases.json",
        "suffixes": {
            "acrLoginServer": "azurecr.io",
            "keyVaultDns": "vault.azure.net",
            "sqlServerHostname": "database.windows.net",
            "storage": "core.windows.net",
        },
    }


def _resource(kind: str, name: str) -> str:
    return f"{GROUP_PATH}/providers/{kind}/{name}"
