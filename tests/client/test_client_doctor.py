"""The walk to a workspace: each hop that can be closed is named, with the reason and what to do."""

from __future__ import annotations

import base64
import json

import pytest
import requests
from client_support import ARM, REGION, WORKSPACE, regional

from airflow_azml.client.doctor import walk
from airflow_azml.client.transport.errors import AuthenticationError, AzureMLError
from airflow_azml.client.workspace import Routing

SUBS = "https://management.azure.com/subscriptions?api-version=2022-12-01"
EXPERIMENTS = regional("history/v1.0") + "/experiments:query"


@pytest.fixture
def open_way(requests_mock):
    """Everything answers."""
    rows = [{"subscriptionId": "S", "displayName": "Mine", "state": "Enabled"}]
    requests_mock.get(SUBS, json={"value": rows})
    requests_mock.post(EXPERIMENTS, json={"value": [{"name": "e"}]})
    requests_mock.get(f"{ARM}/models", json={"value": [{"name": "m"}]})
    requests_mock.get(f"{ARM}/models/m/versions", json={"value": [{"name": "3", "properties": {}}]})


@pytest.mark.usefixtures("open_way")
def test_an_open_way(client):
    """Every hop says what was found there; the token says whose it is."""
    claims = base64.urlsafe_b64encode(json.dumps({"appid": "a-1", "oid": "o-1"}).encode()).decode().rstrip("=")
    client.transport.tokens._token = f"x.{claims}.x"
    assert [f"{step.ok} {step}" for step in walk(client)] == [
        "True token: signed in at login.microsoftonline.com as client id a-1, object id o-1",
        "True Resource Manager: management.azure.com, subscription Mine is Enabled",
        "True workspace: w in eastus is there",
        "True discovery: eastus.api.azureml.ms names eastus.api.azureml.ms",
        "True regional API: the run history answers: 1 experiments",
        "True models: the v2 registry answers: it has m:3",
    ]


@pytest.mark.usefixtures("open_way")
@pytest.mark.parametrize(
    ("hop", "method", "url", "answer", "text", "remedy"),
    [
        ("Resource Manager", "GET", SUBS, {"exc": requests.ConnectionError("no route")}, "no route", "firewall"),
        ("Resource Manager", "GET", SUBS, {"json": {"value": []}}, "may not see subscription s", "role on the"),
        ("workspace", "GET", ARM, {"status_code": 404}, "workspace 'w'", "Check subscription"),
        ("workspace", "GET", ARM, {"status_code": 403}, "403", "AzureML Data Scientist"),
        ("discovery", "GET", f"{REGION}/discovery", {"status_code": 503}, "503", "try again"),
        ("discovery", "GET", ARM, {"json": {**WORKSPACE, "properties": {"discoveryUrl": "https://evil.example"}}},
         "not of AzureCloud", "trusted hosts"),
        ("regional API", "POST", EXPERIMENTS, {"status_code": 403}, "403", "AzureML Data Scientist"),
        ("models", "GET", f"{ARM}/models", {"status_code": 500, "text": "oops"}, "oops", "try again"),
    ],
)  # fmt: skip
def test_a_closed_hop(make_client, requests_mock, hop, method, url, answer, text, remedy):
    """The walk ends there, and says why and what to do."""
    client = make_client()
    requests_mock.register_uri(method, url, **answer)
    *before, last = walk(client)
    assert all(step.ok for step in before)
    assert (last.name, last.ok) == (hop, False)
    assert text in last.text
    assert remedy in last.remedy
    assert last.remedy not in last.text


def test_no_token(client):
    """The token service's own reason."""

    class Tokens:
        def token(self, *_, **__):
            raise AuthenticationError("AADSTS7000215: wrong", operation="get a token", remedy="Give the value.")

    client.transport.tokens = Tokens()
    (step,) = walk(client)
    assert (step.name, step.ok, step.remedy) == ("token", False, "Give the value.")
    assert step.text == "get a token failed: AADSTS7000215: wrong."


@pytest.mark.usefixtures("open_way")
def test_what_the_walk_needs_is_not_remembered_wrongly(client, requests_mock):
    """A walk that failed leaves no route behind that would spoil the next."""
    requests_mock.get(ARM, status_code=404)
    assert not list(walk(client))[-1].ok
    with pytest.raises(AzureMLError):
        Routing(client.transport, client.workspace).regional  # noqa: B018 - asked for its error
