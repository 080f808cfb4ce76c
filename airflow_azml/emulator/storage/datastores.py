"""The datastores of the workspace: names for containers of its storage account, and what URIs of data lead to.

The service makes two blob datastores with every workspace. Both hand out the account's key, so that clients read and
write blobs themselves.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_azml.emulator.http import arm_resources, faults
from airflow_azml.emulator.kernel import facts

DEFAULT = "workspaceblobstore"
CONTAINERS = {DEFAULT: facts.BLOBSTORE_CONTAINER, "workspaceartifactstore": facts.ARTIFACT_CONTAINER}
DATASTORE_URI = re.compile(r"azureml://(?:.*/)?datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)", re.IGNORECASE)
BORN = "2026-01-01T00:00:00+00:00"


def container_of(name: str) -> str:
    """Return the container of a datastore; the 404 of the service when there is no such datastore."""
    container = CONTAINERS.get(name.casefold())
    if container is None:
        raise faults.no_asset("Datastore", name)
    return container


def render(name: str) -> dict[str, Any]:
    """Render a datastore."""
    container = container_of(name)
    properties = {
        "accountName": facts.STORAGE_ACCOUNT,
        "containerName": container,
        "credentials": {"credentialsType": "AccountKey"},
        "datastoreType": "AzureBlob",
        "description": None,
        "endpoint": "core.windows.net",
        "isDefault": name.casefold() == DEFAULT,
        "properties": {},
        "protocol": "https",
        "resourceGroup": facts.RESOURCE_GROUP,
        "serviceDataAccessAuthIdentity": "None",
        "subscriptionId": facts.SUBSCRIPTION,
        "tags": {},
    }
    return arm_resources.render(f"datastores/{name.casefold()}", {"created": BORN, "modified": BORN}, properties)


def secrets(name: str) -> dict[str, str]:
    """Return the datastore's secrets."""
    container_of(name)
    return {"secretsType": "AccountKey", "key": facts.STORAGE_KEY}


def locate(uri: str) -> tuple[str, str]:
    """Return the container and the path in it that a URI means; refuse one that leads elsewhere.

    Read are `azureml://datastores/{name}/paths/{path}` with or without what stands before `datastores`, and blob
    addresses, path-style as the emulator hands them out and host-style.
    """
    if match := DATASTORE_URI.fullmatch(uri):
        return container_of(match["datastore"]), match["path"].strip("/")
    try:
        address = urlsplit(uri)
    except ValueError as error:
        raise faults.bad_request(f"'{uri}' is not a URI: {error}.") from error
    path = unquote(address.path).strip("/")
    if address.netloc.casefold().startswith(f"{facts.STORAGE_ACCOUNT}.blob."):
        path = f"_blob/{facts.STORAGE_ACCOUNT}/{path}"
    style, _, rest = path.partition("/")
    account, _, rest = rest.partition("/")
    container, _, name = rest.partition("/")
    if (style, account) != ("_blob", facts.STORAGE_ACCOUNT) or not container:
        raise faults.bad_request(f"'{uri}' does not lead to the workspace's storage account.")
    return container, name.strip("/")
