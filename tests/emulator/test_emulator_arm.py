"""Resource Manager around the workspace: what it lists, what it refuses, how it says so."""

from __future__ import annotations

import uuid

import pytest
import requests

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
GROUP = f"{SUBSCRIPTION}/resourceGroups/local"
PROVIDER = "/providers/Microsoft.MachineLearningServices"
WORKSPACE = f"{GROUP}{PROVIDER}/workspaces/local"
VERSION = {"api-version": "2023-10-01"}


def get(emulator, path, **params):
    return emulator.call("GET", path, params={**VERSION, **params})


@pytest.mark.parametrize("path", [f"{GROUP}{PROVIDER}/workspaces", f"{SUBSCRIPTION}{PROVIDER}/workspaces"])
def test_workspaces_are_listed_by_group_and_by_subscription(emulator, path):
    """Both lists hold the one workspace, as its own address shows it."""
    assert get(emulator, path).json()["value"] == [get(emulator, WORKSPACE).json()]


def test_workspace_leads_to_the_regional_services(emulator):
    """The workspace names its discovery URL, which answers without a token every key that azureml-core reads."""
    properties = get(emulator, WORKSPACE).json()["properties"]
    assert uuid.UUID(properties["workspaceId"])
    host = emulator.url.removeprefix("http://")
    assert properties["mlFlowTrackingUri"] == f"azureml://{host}/mlflow/v1.0{WORKSPACE}"
    discovered = requests.get(properties["discoveryUrl"], timeout=10).json()
    needed = {"api", "experimentation", "history", "hyperdrive", "modelmanagement", "studio"}
    assert needed <= discovered.keys()
    assert set(discovered.values()) == {emulator.url}


def test_subscription_and_group_are_found(emulator):
    """A client that looks for its subscription and resource group first finds them."""
    assert [item["subscriptionId"] for item in get(emulator, "/subscriptions").json()["value"]] == [SUBSCRIPTION[15:]]
    assert get(emulator, SUBSCRIPTION).json()["tenantId"]
    assert [item["name"] for item in get(emulator, f"{SUBSCRIPTION}/resourcegroups").json()["value"]] == ["local"]
    assert get(emulator, GROUP).json()["id"] == GROUP


def test_cloud_is_described_without_a_token(emulator):
    """/metadata/endpoints, the first call of azureml-core, names this Resource Manager and its login host."""
    (cloud,) = requests.get(f"{emulator.url}/metadata/endpoints?api-version=2019-05-01", timeout=10).json()
    assert (cloud["resourceManager"], cloud["authentication"]["loginEndpoint"]) == (emulator.url, emulator.url)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (WORKSPACE.replace("0000-0000", "0000-0001", 1), "SubscriptionNotFound"),
        (f"{SUBSCRIPTION[:-1]}1/resourceGroups", "SubscriptionNotFound"),
        (WORKSPACE.replace("resourceGroups/local", "resourceGroups/other"), "ResourceGroupNotFound"),
        (f"{SUBSCRIPTION}/resourceGroups/other", "ResourceGroupNotFound"),
        (WORKSPACE.replace("workspaces/local", "workspaces/other"), "ResourceNotFound"),
        (WORKSPACE.replace("workspaces/local", "workspaces/other") + "/computes", "ResourceNotFound"),
    ],
)
def test_any_other_workspace_is_a_404_that_says_what_is_missing(emulator, path, code):
    """Subscription, group and workspace are checked from the outside in."""
    answer = get(emulator, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    assert answer.json()["error"]["details"] == []


def test_regional_calls_know_only_the_one_workspace_too(emulator):
    """The regional services answer 404 for another workspace, in the data plane's envelope."""
    answer = emulator.call("GET", f"/rp/workspaces{WORKSPACE[:-5]}other/computes/x")
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (404, "UserError")
    assert body["error"]["innerError"]["code"] == "ResourceNotFound"
    assert {"correlation", "environment", "location", "time"} <= body.keys()


@pytest.mark.parametrize("path", ["/subscriptions", WORKSPACE, WORKSPACE + "/computes/x"])
def test_resource_manager_requires_an_api_version(emulator, path):
    """Without api-version the answer is a 400 that lists the supported ones; any version is taken."""
    answer = emulator.call("GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")
    assert "2019-11-01" in answer.json()["error"]["message"]
    assert emulator.call("GET", path, params={"Api-Version": "2031-01-01-preview"}).status_code in {200, 404}


def test_regional_services_require_none(emulator):
    """The regional addresses work without api-version and with the odd ones that clients send."""
    for version in ({}, {"api-version": "v1.0"}, {"api-version": "2020-02-02"}):
        assert emulator.call("GET", f"/rp/workspaces{WORKSPACE}/computes", params=version).status_code == 200


@pytest.mark.parametrize("word", ["computeOperationsStatus", "mfeOperationsStatus", "computeOperationResults"])
def test_unknown_operation_is_a_404(emulator, word):
    """Polling an operation that never was does not go on for ever."""
    answer = get(emulator, f"{SUBSCRIPTION}{PROVIDER}/locations/eastus/{word}/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "OperationNotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", WORKSPACE + "/teapots/1"),
        ("PUT", WORKSPACE),
        ("POST", "/nowhere"),
        ("DELETE", "/history/v9"),
        ("GET", "/"),
    ],
)
def test_what_is_not_implemented_says_so_by_name(emulator, method, path):
    """An unknown route is a 501 with the method and path, never an empty success."""
    answer = emulator.call(method, path, params=VERSION)
    assert answer.status_code == 501
    assert f"{method} {path}" in answer.json()["error"]["message"]
