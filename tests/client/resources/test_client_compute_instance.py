"""Compute instances: started, stopped and restarted; nodes of a cluster."""

from __future__ import annotations

from client_support import ARM

from airflow_azml.client.transport.longrunning import Operation


def test_compute_instances_and_nodes(client, requests_mock):
    """Start, stop and restart use the api-version that has them; a POST's nextLink is followed by GET."""
    location = {"Location": f"{ARM}/op"}
    instance = {"name": "ci1", "properties": {"computeType": "ComputeInstance", "properties": {"state": "Resizing"}}}
    requests_mock.get(f"{ARM}/computes/ci1", json=instance)
    for verb in ("start", "stop", "restart"):
        requests_mock.post(f"{ARM}/computes/ci1/{verb}?api-version=2021-07-01", status_code=202, headers=location)
        assert getattr(client.compute_instances, verb)("ci1").operation == Operation(f"{ARM}/op", "location")
    requests_mock.post(f"{ARM}/computes/cpu/listNodes", json={"nodes": [{"nodeId": 1}], "nextLink": f"{ARM}/more"})
    requests_mock.get(f"{ARM}/more", json={"nodes": [{"nodeId": 2}]})
    assert [node["nodeId"] for node in client.computes.nodes("cpu")] == [1, 2]
    assert client.computes.get("ci1").state == "Resizing"
