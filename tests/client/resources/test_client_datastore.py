"""Datastores: listed and read, never with their secrets."""

from __future__ import annotations

from client_support import ARM


def test_datastores(client, requests_mock):
    """Whatever their type calls its container; their secrets are not asked for."""
    blob = {"datastoreType": "AzureBlob", "accountName": "sa", "containerName": "c", "isDefault": True}
    lake = {"datastoreType": "AzureDataLakeGen2", "filesystem": "f"}
    rows = [{"name": "b", "properties": blob}, {"name": "l", "properties": lake}]
    requests_mock.get(f"{ARM}/datastores", json={"value": rows})
    requests_mock.get(f"{ARM}/datastores/b", json=rows[0])
    assert [(found.container, found.is_default) for found in client.datastores.list()] == [("c", True), ("f", False)]
    assert client.datastores.get("b").uri("/x/y") == "azureml://datastores/b/paths/x/y"
