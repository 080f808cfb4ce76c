"""Online endpoints: created, changed, scored with whatever their callers authenticate by, and listed."""

from __future__ import annotations

import pytest
from client_support import ARM, OPERATION, STARTED

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation

ENDPOINTS = f"{ARM}/onlineEndpoints"


SCORE = "https://ep.eastus.inference.ml.azure.com/score"


ENDPOINT = {
    "name": "ep1",
    "location": "eastus",
    "tags": {"a": "b"},
    "identity": {"type": "SystemAssigned", "principalId": "read-only"},
    "properties": {
        "authMode": "Key", "provisioningState": "Succeeded", "scoringUri": SCORE, "swaggerUri": "read-only",
        "traffic": {"green": 100}, "properties": {"p": "q"}, "description": None,
    },
}  # fmt: skip


def test_endpoint_create(client, requests_mock):
    """What is left out of the spec is filled in; numbers and booleans in tags become text."""
    requests_mock.get(f"{ENDPOINTS}/ep1", status_code=404)
    requests_mock.put(f"{ENDPOINTS}/ep1", status_code=201, json=ENDPOINT, headers=STARTED)
    target = client.endpoints.ensure("ep1", {"tags": {"a": "b", "n": 1, "keep": True}})
    assert requests_mock.last_request.json() == {
        "location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"},
        "tags": {"a": "b", "n": "1", "keep": "True"},
    }  # fmt: skip
    assert (str(target), target.operation.url) == ("endpoint ep1", OPERATION)


def test_traffic_is_put_with_the_whole_endpoint(client, requests_mock):
    """Only what may be written is sent back, with the new shares."""
    users = {"type": "UserAssigned", "userAssignedIdentities": {"/id": {"clientId": "read-only"}}}
    requests_mock.get(
        f"{ENDPOINTS}/ep1", [{"json": ENDPOINT}, {"json": {**ENDPOINT, "identity": users, "sku": {"name": "x"}}}]
    )
    requests_mock.put(f"{ENDPOINTS}/ep1", json=ENDPOINT)
    client.endpoints.set_traffic("ep1", {"blue": 90, "green": 10})
    assert requests_mock.last_request.json() == {
        "location": "eastus", "tags": {"a": "b"}, "identity": {"type": "SystemAssigned"},
        "properties": {"authMode": "Key", "properties": {"p": "q"}, "traffic": {"blue": 90, "green": 10}},
    }  # fmt: skip
    client.endpoints.set_traffic("ep1", {})
    body = requests_mock.last_request.json()
    assert body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {"/id": {}}}
    assert body["sku"] == {"name": "x"}


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        ({"blue": 50}, "add up to 100"),
        ({"blue": 60, "red": 60}, "add up to 100"),
        ({"blue": 101, "red": -1}, "traffic of red -1: must be a whole number, 0 or more"),
        ({"blue": 99.5, "red": 0.5}, "traffic of blue 99.5: must be a whole number"),
    ],
)
def test_traffic_must_make_a_whole(client, requests_mock, traffic, said):
    """Said before anything is sent."""
    with pytest.raises(errors.InputError, match=said):
        client.endpoints.set_traffic("ep1", traffic)
    assert requests_mock.request_history == []


def test_scoring_sends_the_key_not_the_token(client, requests_mock, secrets):
    """The key goes to the scoring address, where other people's code runs; the ARM token does not."""
    requests_mock.get(f"{ENDPOINTS}/ep1", json=ENDPOINT)
    requests_mock.post(f"{ENDPOINTS}/ep1/listKeys", json={"primaryKey": "key-1", "secondaryKey": "key-2"})
    requests_mock.post(SCORE, [{"json": [1.5]}, {"text": "plain"}])
    assert client.endpoints.score("ep1", {"x": 1}, deployment="blue") == [1.5]
    assert requests_mock.last_request.headers["Authorization"] == "Bearer key-1"
    assert requests_mock.last_request.headers["azureml-model-deployment"] == "blue"
    assert requests_mock.last_request.json() == {"x": 1}
    assert client.endpoints.score("ep1", {}) == "plain"
    requests_mock.post(SCORE, content="blåbær".encode(), headers={"Content-Type": "text/plain"})
    assert client.endpoints.score("ep1", {}) == "blåbær"
    requests_mock.post(SCORE, content=b"\x89PNG", headers={"Content-Type": "image/png"})
    assert client.endpoints.score("ep1", {}) == {"content_type": "image/png", "base64": "iVBORw=="}
    assert "azureml-model-deployment" not in requests_mock.last_request.headers
    assert {"key-1", "key-2"} <= set(secrets)
    assert "key-1" not in repr(client.endpoints.keys("ep1"))


def test_scoring_asks_for_the_key_again_when_it_was_changed(client, requests_mock):
    """A 401 with a changed key is repeated once; with the same key it is the answer."""
    requests_mock.get(f"{ENDPOINTS}/ep1", json=ENDPOINT)
    requests_mock.post(f"{ENDPOINTS}/ep1/listKeys", [{"json": {"primaryKey": "old"}}, {"json": {"primaryKey": "new"}}])
    requests_mock.post(SCORE, [{"status_code": 401}, {"json": 1}])
    assert client.endpoints.score("ep1", {}) == 1
    assert requests_mock.last_request.headers["Authorization"] == "Bearer new"
    requests_mock.post(SCORE, status_code=401)
    with pytest.raises(errors.AuthenticationError, match="its own primary key"):
        client.endpoints.score("ep1", {})


def test_scoring_errors_carry_the_models_message(client, requests_mock):
    """A user exception is told in the model's own words."""
    requests_mock.get(f"{ENDPOINTS}/ep1", json=ENDPOINT)
    requests_mock.post(f"{ENDPOINTS}/ep1/listKeys", json={"primaryKey": "k"})
    requests_mock.post(
        SCORE, status_code=500, json={"message": "KeyError: 'age'"}, headers={"x-ms-run-function-failed": "True"}
    )
    with pytest.raises(errors.ServiceError, match="KeyError: 'age'"):
        client.endpoints.score("ep1", {})
    assert len([request for request in requests_mock.request_history if request.url == SCORE]) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"scoringUri": None}, errors.ServiceError),
        ({"scoringUri": "http://ep.example/score"}, errors.UntrustedHostError),
    ],
)
def test_an_endpoint_that_cannot_be_scored(client, requests_mock, change, kind):
    """No address yet, or an address that anyone on the way could read."""
    requests_mock.get(f"{ENDPOINTS}/ep1", json={**ENDPOINT, "properties": {**ENDPOINT["properties"], **change}})
    requests_mock.post(f"{ENDPOINTS}/ep1/listKeys", json={"primaryKey": "k"})
    with pytest.raises(kind):
        client.endpoints.score("ep1", {})


def test_endpoint_list(client, requests_mock):
    """All endpoints of the workspace."""
    requests_mock.get(ENDPOINTS, json={"value": [ENDPOINT]})
    assert [endpoint.traffic for endpoint in client.endpoints.list()] == [{"green": 100}]


def endpoint(mode):
    inner = {"authMode": mode, "provisioningState": "Succeeded", "scoringUri": SCORE}
    return {"name": "ep1", "properties": inner}


def test_scoring_with_the_endpoints_own_token(client, requests_mock, secrets):
    """AMLToken: a token of the endpoint; a rejected one is asked for again."""
    requests_mock.get(f"{ENDPOINTS}/ep1", json=endpoint("AMLToken"))
    requests_mock.post(f"{ENDPOINTS}/ep1/token", [
        {"json": {"accessToken": "tok-1", "expiryTimeUtc": 20, "refreshAfterTimeUtc": 10}},
        {"json": {"accessToken": "tok-2"}},
    ])  # fmt: skip
    requests_mock.post(SCORE, [{"status_code": 401}, {"json": 1}])
    assert client.endpoints.score("ep1", {}) == 1
    assert requests_mock.last_request.headers["Authorization"] == "Bearer tok-2"
    assert {"tok-1", "tok-2"} <= set(secrets)
    assert "tok-2" not in repr(client.endpoints.token("ep1"))


def test_scoring_with_an_entra_token(make_client, requests_mock):
    """AADToken: a token for Azure ML, fetched anew when it is rejected; the ARM token never goes there."""
    asked = []

    class Tokens:
        def token(self, scope, *, rejected=None):
            asked.append((scope, rejected))
            return f"{scope}-{2 if rejected else 1}"

    client = make_client()
    client.transport.tokens = Tokens()
    requests_mock.get(f"{ENDPOINTS}/ep1", json=endpoint("AADToken"))
    requests_mock.post(SCORE, [{"status_code": 401}, {"json": 1}])
    assert client.endpoints.score("ep1", {}) == 1
    scope = "https://ml.azure.com/.default"
    assert asked[-2:] == [(scope, None), (scope, f"{scope}-1")]
    assert requests_mock.last_request.headers["Authorization"] == f"Bearer {scope}-2"


def test_keys_are_regenerated(client, requests_mock):
    """One of the two; not repeated blindly, since each time makes another key."""
    requests_mock.post(f"{ENDPOINTS}/ep1/regenerateKeys", status_code=202, headers={"Location": f"{ARM}/op"})
    assert client.endpoints.regenerate_key("ep1", "Primary").operation == Operation(f"{ARM}/op", "location")
    assert requests_mock.last_request.json() == {"keyType": "Primary"}
