"""The walk to a workspace: each hop that can be closed is named, with the reason and what to do."""

from __future__ import annotations

import base64
import json
from email.utils import formatdate

import pytest
import requests
from client_support import ARM, REGION, WORKSPACE, regional

from airflow_azml.client.doctor import walk
from airflow_azml.client.routing import Routing
from airflow_azml.client.transport.errors import AuthenticationError, AzureMLError

SUBS = "https://management.azure.com/subscriptions?api-version=2022-12-01"
EXPERIMENTS = regional("history/v1.0") + "/experiments:query"
NOBODY = "airflow-azml-doctor"
SUBMIT = regional("execution/v1.0") + f"/experiments/{NOBODY}/startrun?runId={NOBODY}"
CANCEL = regional("execution/v1.0") + f"/experiments/{NOBODY}/runId/{NOBODY}/cancel"
METRICS = regional("metric/v2.0") + f"/runs/{NOBODY}/list"
ARTIFACTS = regional("artifact/v2.0") + f"/artifacts/ExperimentRun/dcid.{NOBODY}"
RIGHTS = ("submit", "cancel", "metrics", "artifacts")
ASKED = (("POST", SUBMIT), ("POST", CANCEL), ("POST", METRICS), ("GET", ARTIFACTS))


@pytest.fixture
def open_way(client, requests_mock):  # noqa: ARG001 - its answers come before these
    """Everything answers."""
    rows = [{"subscriptionId": "S", "displayName": "Mine", "state": "Enabled"}]
    requests_mock.get(SUBS, json={"value": rows})
    requests_mock.post(EXPERIMENTS, json={"value": [{"name": "e"}]})
    requests_mock.get(f"{ARM}/models", json={"value": [{"name": "m"}]})
    requests_mock.get(f"{ARM}/models/m/versions", json={"value": [{"name": "3", "properties": {}}]})
    requests_mock.get(ARM, json=WORKSPACE, headers={"Date": formatdate(usegmt=True)})
    for method, url in ASKED:
        requests_mock.register_uri(method, url, status_code=404)


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
        "True clock: this machine and the service agree on the time",
        *(f"True {name}: allowed (HTTP 404 for a run that does not exist)" for name in RIGHTS),
    ]


@pytest.mark.usefixtures("open_way")
@pytest.mark.parametrize(("name", "asked"), [*zip(RIGHTS, ASKED, strict=True)])
def test_what_the_credential_may_not_do(client, requests_mock, name, asked):
    """It is refused by name, with the role that is missing; the other questions are asked all the same."""
    requests_mock.register_uri(*asked, status_code=403)
    steps = list(walk(client))
    [refused] = [step for step in steps if not step.ok]
    assert refused.name == name
    assert "AzureML Data Scientist" in refused.remedy
    assert [step.name for step in steps[-4:]] == [*RIGHTS]


@pytest.mark.usefixtures("open_way")
def test_nothing_is_submitted(client, requests_mock):
    """The request that asks whether runs may be submitted holds no definition and no project."""
    assert list(walk(client))[-1].ok
    [asked] = [request for request in requests_mock.request_history if request.url == SUBMIT]
    assert asked.text == "{}"


@pytest.mark.usefixtures("open_way")
@pytest.mark.parametrize(
    ("seconds", "ok", "text"),
    [
        (0, True, "this machine and the service agree on the time"),
        (40, True, "this machine's clock is 40 s behind the service's"),
        (-400, False, "this machine's clock is 400 s ahead of the service's"),
        (None, True, "the service does not tell the time"),
    ],
)
def test_the_difference_of_the_clocks(client, requests_mock, monkeypatch, seconds, ok, text):
    """It is told, and is a fault where tokens would be refused for it."""
    now = 1_800_000_000.5
    monkeypatch.setattr("airflow_azml.client.doctor.time.time", lambda: now)
    date = "no date" if seconds is None else formatdate(now + seconds, usegmt=True)
    requests_mock.get(ARM, json=WORKSPACE, headers={"Date": date})
    [clock] = [step for step in walk(client) if step.name == "clock"]
    assert (clock.ok, clock.text.rstrip(".")) == (ok, text)
    assert ok or "NTP" in clock.remedy


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
