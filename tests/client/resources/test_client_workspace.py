"""Workspaces, and what they are in: listed from the subscription down, and created."""

from __future__ import annotations

import pytest

from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation

ROOT = "https://management.azure.com"


def test_subscriptions_groups_and_workspaces(client, requests_mock):
    """Each with the api-version of its own service; pages are followed as they are written."""
    requests_mock.get(
        f"{ROOT}/subscriptions?api-version=2022-12-01",
        json={"value": [{"subscriptionId": "s", "displayName": "Mine", "state": "Enabled"}]},
    )
    group = {"name": "g", "location": "eastus"}
    requests_mock.get(f"{ROOT}/subscriptions/s/resourcegroups?api-version=2021-04-01", json={"value": [group]})
    provider = "providers/Microsoft.MachineLearningServices/workspaces"
    ws = {
        "id": f"/subscriptions/s/resourcegroups/G1/{provider}/w",
        "name": "w",
        "location": "eastus",
        "properties": {"discoveryUrl": "https://d", "provisioningState": "Succeeded"},
    }
    version = "api-version=2019-11-01"
    more = f"{ROOT}/subscriptions/s/{provider}?{version}&$skiptoken=2"
    requests_mock.get(f"{ROOT}/subscriptions/s/{provider}?{version}", json={"value": [ws], "nextLink": more})
    requests_mock.get(more, json={"value": [{**ws, "name": "w2"}]})
    requests_mock.get(f"{ROOT}/subscriptions/s/resourceGroups/g/{provider}?{version}", json={"value": [ws]})
    assert [(found.id, found.name) for found in client.workspaces.subscriptions()] == [("s", "Mine")]
    assert [found.name for found in client.workspaces.resource_groups("s")] == ["g"]
    assert [found.workspace.name for found in client.workspaces.list("s")] == ["w", "w2"]
    (found,) = client.workspaces.list("s", "g")
    assert (found.workspace.resource_group, found.discovery_url) == ("G1", "https://d")


def test_a_workspace_is_created(client, requests_mock):
    """The article's last PUT; the answer tells where to look for its end. One that exists is never replaced."""
    other = Workspace("s", "g", "new")
    requests_mock.get(f"{ROOT}{other.arm_path}", status_code=404)
    requests_mock.put(f"{ROOT}{other.arm_path}", status_code=202, headers={"Location": f"{ROOT}/op"})
    spec = {"location": "eastus", "identity": {"type": "systemAssigned"}, "properties": {"keyVault": "/kv"}}
    target = client.workspaces.create(other, spec)
    assert (target.name, target.operation) == (other.arm_id, Operation(f"{ROOT}/op", "location"))
    assert requests_mock.last_request.json() == spec
    there = {"location": "East US", "identity": {"type": "SystemAssigned"}, "tags": {"a": "b"}}
    requests_mock.get(f"{ROOT}{other.arm_path}", json={**there, "properties": {"keyVault": "/kv", "storage": "/s"}})
    assert client.workspaces.create(other, spec).operation is None
    assert client.look(client.workspaces.target(other.arm_id)).phase == "active"
    with pytest.raises(errors.ConflictError, match=r"properties\.keyVault is '/kv', not '/other'"):
        client.workspaces.create(other, {**spec, "properties": {"keyVault": "/other"}})
    assert [request.method for request in requests_mock.request_history].count("PUT") == 1
