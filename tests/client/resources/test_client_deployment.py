"""Deployments: created, scaled, listed, deleted, and their logs."""

from __future__ import annotations

import pytest
from client_support import ARM, OPERATION, STARTED

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation

ENDPOINTS = f"{ARM}/onlineEndpoints"


DEPLOYMENT = {"name": "blue", "properties": {"provisioningState": "Scaling", "model": "m"}, "sku": {"capacity": 2}}


def test_deployment_create_list_logs(client, requests_mock):
    """What is left out is one managed machine; logs are asked by container."""
    url = f"{ENDPOINTS}/ep1/deployments"
    requests_mock.put(f"{url}/blue", json=DEPLOYMENT, headers=STARTED)
    requests_mock.get(f"{url}/blue", [{"status_code": 404}, {"json": DEPLOYMENT}])
    requests_mock.get(url, json={"value": [DEPLOYMENT]})
    requests_mock.post(f"{url}/blue/getLogs", json={"content": "line"})
    made = client.deployments.ensure("ep1", "blue", {"properties": {"model": "m"}}, instance_type="S1")
    assert requests_mock.last_request.json() == {
        "location": "eastus", "sku": {"name": "Default", "capacity": 1},
        "properties": {"endpointComputeType": "Managed", "model": "m", "instanceType": "S1"},
    }  # fmt: skip
    assert (made.name, made.parent, made.operation.url) == ("blue", "ep1", OPERATION)
    there = client.deployments.get("ep1", "blue")
    assert (there.model, there.provisioning_state, there.instance_count) == ("m", "Scaling", 2)
    assert [deployment.name for deployment in client.deployments.list("ep1")] == ["blue"]
    assert client.deployments.logs("ep1", "blue", 5) == "line"
    assert requests_mock.last_request.json() == {"tail": 5, "containerType": "InferenceServer"}
    with pytest.raises(errors.InputError, match="deployment_name"):
        client.deployments.ensure("ep1", "9", {})


@pytest.mark.parametrize(("status", "there"), [(202, True), (204, False), (404, False)])
def test_endpoint_and_deployment_delete(client, requests_mock, status, there):
    """The operation, or None when there was nothing to delete."""
    headers = {"Location": OPERATION} if status == 202 else {}
    requests_mock.delete(f"{ENDPOINTS}/ep1", status_code=status, headers=headers)
    requests_mock.delete(f"{ENDPOINTS}/ep1/deployments/blue", status_code=status, headers=headers)
    expected = Operation(OPERATION, "location") if there else None
    targets = client.endpoints.delete("ep1"), client.deployments.delete("ep1", "blue")
    assert [(str(target), target.goal, target.operation) for target in targets] == [
        ("endpoint ep1", "gone", expected),
        ("deployment blue", "gone", expected),
    ]


def test_a_deployment_is_scaled(client, requests_mock):
    """The whole deployment goes back with another capacity, without what is read-only."""
    url = f"{ENDPOINTS}/ep1/deployments/blue"
    inner = {"model": "m", "instanceType": "S", "endpointComputeType": "Managed", "provisioningState": "Succeeded"}
    raw = {"name": "blue", "location": "eastus", "sku": {"name": "Default", "capacity": 1}, "properties": inner}
    requests_mock.get(url, json=raw)
    requests_mock.put(url, json={**raw, "sku": {"capacity": 3}})
    client.deployments.scale("ep1", "blue", "3")
    assert requests_mock.last_request.json() == {
        "location": "eastus",
        "sku": {"name": "Default", "capacity": 3},
        "properties": {"model": "m", "instanceType": "S", "endpointComputeType": "Managed"},
    }
    client.deployments.scale("ep1", "blue", 1)
    assert requests_mock.last_request.method == "GET"
    with pytest.raises(errors.InputError, match="instance_count"):
        client.deployments.scale("ep1", "blue", 0)
