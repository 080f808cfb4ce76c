"""What Airflow discovers of this provider: the connection type and its form, the extra link, the triggers.

Airflow reads it without importing anything else of the package; the form is drawn from it alone.
"""

from __future__ import annotations

from typing import Any

from airflow_azml import __version__

INTEGRATION = "Azure Machine Learning"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata (entry point `apache_airflow_provider`)."""
    return {
        "package-name": "airflow-azml",
        "name": INTEGRATION,
        "description": "Azure Machine Learning: train, register, deploy, score and clean up.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://learn.microsoft.com/azure/machine-learning/",
                "tags": ["azure"],
            }
        ],
        "operators": _modules("airflow_azml.operators", OPERATORS),
        "sensors": _modules("airflow_azml.sensors", SENSORS),
        "hooks": _modules("airflow_azml.hooks", ["azureml"]),
        "triggers": _modules("airflow_azml.triggers", ["azureml"]),
        "extra-links": ["airflow_azml.links.azureml.AzureMLStudioLink"],
        "connection-types": [
            {
                "connection-type": "azureml",
                "hook-name": INTEGRATION,
                "hook-class-name": "airflow_azml.hooks.azureml.AzureMLHook",
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
    }


OPERATORS = ["compute", "run", "artifact", "model", "endpoint", "deployment"]
SENSORS = ["compute", "run", "model", "endpoint"]


def _modules(package: str, names: list[str]) -> list[dict[str, Any]]:
    return [{"integration-name": INTEGRATION, "python-modules": [f"{package}.{name}" for name in names]}]


def _field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _choice(label: str, description: str, default: str, *others: str) -> dict[str, Any]:
    """Return a field with a fixed set of values, whose first is chosen already."""
    return _field(label, description, enum=[default, *others, None], default=default)


FIELD_BEHAVIOUR = {
    "hidden-fields": ["host", "port", "schema"],
    "relabeling": {"login": "Client ID", "password": "Client secret"},
    "placeholders": {"login": "application (client) ID of the service principal"},
}

CONNECTION_FIELDS = {
    "tenant_id": _field("Tenant ID", "Directory (tenant) ID of the service principal."),
    "subscription_id": _field("Subscription ID", "Subscription of the workspace."),
    "resource_group": _field("Resource group", "Resource group of the workspace."),
    "workspace_name": _field("Workspace", "Name of the Azure Machine Learning workspace."),
    "cloud": _choice(
        "Cloud",
        "AzureCloud unless the workspace is in a sovereign cloud; Custom for one named by the URLs below.",
        "AzureCloud",
        "AzureUSGovernment",
        "AzureChinaCloud",
        "Custom",
    ),
    "api": _choice(
        "Model API",
        "v2 (Resource Manager) unless the workspace's models are kept by the classic model management (v1).",
        "v2",
        "v1",
    ),
    "credential": _choice(
        "Credential",
        "How to sign in. auto: by the access token, certificate or federated token file that is given below, else by "
        "the client secret. A managed identity has to be chosen; Client ID then names a user-assigned one.",
        "auto",
        "client_secret",
        "client_certificate",
        "workload_identity",
        "managed_identity",
        "token",
    ),
    "certificate": _field(
        "Certificate",
        "Path of a PEM file with certificate and private key, or its text. Client secret is its passphrase.",
        format="password",
    ),
    "federated_token_file": _field(
        "Federated token file",
        "Workload identity: path of the token. This, Tenant ID and Client ID default to AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE.",
    ),
    "token": _field("Access token", "A bearer token without the word Bearer; it is not renewed.", format="password"),
    "authority_url": _field("Login URL", "Cloud = Custom: the token authority, for example https://127.0.0.1:8743."),
    "resource_manager_url": _field("Resource Manager URL", "Cloud = Custom: where Resource Manager answers."),
    "ml_audience": _field(
        "Azure ML audience", "Cloud = Custom: audience of Azure ML's own tokens, if not the public cloud's."
    ),
    "studio_url": _field("Studio URL", "Cloud = Custom: where links to Azure ML studio lead, if not to ml.azure.com."),
    "trusted_hosts": _field(
        "Trusted hosts", "Cloud = Custom: further hosts that may be sent a token, separated by commas."
    ),
    "ca_bundle": _field("CA bundle", "Path of a PEM file with the authorities to trust instead of Python's certifi."),
    "namespace": _field(
        "Namespace",
        "Name of this Airflow, such as dev or prod, when several use the workspace. Runs are tagged with it. Before "
        "Airflow 3.3 it alone keeps one Airflow from adopting another's runs.",
    ),
}
