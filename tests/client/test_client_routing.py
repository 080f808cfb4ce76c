"""Where the workspace is: asked once, without a token, and never guessed."""

from __future__ import annotations

import pytest
from client_support import ARM, REGION

from airflow_azml.client.transport import errors


def test_routing_asks_discovery_without_a_bearer_and_once(client, make_client, requests_mock):
    """ARM names the discovery URL, which names the regional host; a second client of the process asks nobody."""
    assert client.routing.regional == REGION
    assert make_client().routing.location == "eastus"
    arm, discovery = requests_mock.request_history
    assert arm.headers["Authorization"]
    assert "Authorization" not in discovery.headers


def test_routing_falls_back_to_the_discovery_host(client, requests_mock):
    """When discovery does not answer, its own host is the regional one."""
    requests_mock.get(f"{REGION}/discovery", status_code=404)
    assert client.routing.regional == REGION


@pytest.mark.parametrize("discovery", ["https://evil.example/discovery", "http://eastus.api.azureml.ms/discovery"])
def test_routing_trusts_no_foreign_discovery(client, requests_mock, discovery):
    """A discovery URL or host outside the cloud is refused."""
    requests_mock.get(ARM, json={"properties": {"discoveryUrl": discovery}})
    with pytest.raises(errors.UntrustedHostError):
        _ = client.routing.regional
    requests_mock.get(ARM, json={"properties": {"discoveryUrl": f"{REGION}/discovery"}})
    requests_mock.get(f"{REGION}/discovery", json={"api": discovery})
    with pytest.raises(errors.UntrustedHostError):
        _ = client.routing.regional


def test_an_unknown_workspace_is_named(client, requests_mock):
    """A 404 for the workspace says which subscription, group and workspace were meant."""
    requests_mock.get(ARM, status_code=404, json={"error": {"code": "ResourceNotFound", "message": "nope"}})
    with pytest.raises(errors.NotFoundError, match="workspace 'w' in resource group 'g' of subscription 's': nope"):
        _ = client.routing.regional
    requests_mock.get(ARM, json={"properties": {}})
    with pytest.raises(errors.ServiceError, match="discoveryUrl"):
        _ = client.routing.regional
