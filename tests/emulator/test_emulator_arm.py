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
    version = VERSION if PROVIDER in path else {"api-version": "2021-04-01"}
    return emulator.call("GET", path, params={**version, **params})


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
    assert set(answer.json()["error"]) == {"code", "message"}
    assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_regional_calls_know_only_the_one_workspace_too(emulator):
    """The regional services answer 404 for another workspace, in the data plane's envelope."""
    answer = emulator.call("GET", f"/rp/workspaces{WORKSPACE[:-5]}other/computes/x")
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (404, "UserError")
    assert body["error"]["innerError"]["code"] == "ResourceNotFound"
    assert {"correlation", "environment", "location", "time"} <= body.keys()


@pytest.mark.parametrize("path", ["/subscriptions", WORKSPACE, WORKSPACE + "/computes/x"])
def test_resource_manager_requires_an_api_version(emulator, path):
    """Without api-version the answer is a 400 that lists the supported ones; its name is read in any case."""
    answer = emulator.call("GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")
    assert "2019-11-01" in answer.json()["error"]["message"]
    assert emulator.call("GET", path, params={"Api-Version": "2019-11-01"}).status_code in {200, 404}


def test_regional_services_require_none(emulator):
    """The regional addresses work without api-version and with the odd ones that clients send."""
    for version in ({}, {"api-version": "v1.0"}, {"api-version": "2020-02-02"}):
        assert emulator.call("GET", f"/rp/workspaces{WORKSPACE}/computes", params=version).status_code == 200


@pytest.mark.parametrize("word", ["computeOperationsStatus", "mfeOperationsStatus", "mfeOperationResults"])
def test_unknown_operation_is_a_404(emulator, word):
    """Polling an operation that never was does not go on for ever."""
    answer = get(emulator, f"{SUBSCRIPTION}{PROVIDER}/locations/eastus/{word}/{uuid.uuid4()}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"][0]["code"]) == (404, "NotFound", "OperationNotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", WORKSPACE + "/teapots/1"),
        ("PUT", WORKSPACE),
        ("POST", "/nowhere"),
        ("DELETE", "/history/v9"),
        ("PUT", "/"),
    ],
)
def test_what_is_not_implemented_says_so_by_name(emulator, method, path):
    """An unknown route is a 501 with the method and path, never an empty success."""
    answer = emulator.call(method, path, params=VERSION)
    assert answer.status_code == 501
    assert f"{method} {path}" in answer.json()["error"]["message"]


V1_ONLY, V2_TOO = ("2018-11-19", "2019-11-01", "2021-07-01"), ("2022-02-01-preview", "2023-10-01", "2025-12-01")
V2 = ("models", "codes/c/versions", "environments", "onlineEndpoints", "onlineEndpoints/e/deployments", "datastores")


@pytest.mark.parametrize("version", ["banana", "2023-10-02", "2023-10-01-preview", "v1.0", "2019-09-30"])
@pytest.mark.parametrize("path", [WORKSPACE, f"{WORKSPACE}/computes", f"{GROUP}{PROVIDER}/workspaces", *V2])
def test_a_version_that_does_not_exist_is_refused(emulator, path, version):
    """The error names the type and lists the versions that are taken for it, and every one of the list is taken."""
    path = path if path.startswith("/") else f"{WORKSPACE}/{path}"
    answer = emulator.call("GET", path, params={"api-version": version})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "NoRegisteredProviderFound")
    assert f"API version '{version}' for type 'workspaces" in error["message"]
    supported = error["message"].split("api-versions are '")[1].split("'")[0].split(", ")
    newest, oldest = supported[-1], supported[0]
    assert {emulator.call("GET", path, params={"api-version": known}).status_code for known in (newest, oldest)} <= {
        200, 404,
    }  # fmt: skip


@pytest.mark.parametrize("path", V2)
@pytest.mark.parametrize("version", V1_ONLY)
def test_v2_resources_have_v2_versions(emulator, path, version):
    """A version that knows computes only is refused for models, endpoints and all other resources of v2."""
    answer = emulator.call("GET", f"{WORKSPACE}/{path}", params={"api-version": version})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NoRegisteredProviderFound")
    kind = "/".join(["workspaces", *path.split("/")[::2]])
    assert f"for type '{kind}'" in answer.json()["error"]["message"]


@pytest.mark.parametrize("version", [*V1_ONLY, *V2_TOO, "2022-01-01-PREVIEW"])
def test_computes_have_all_versions(emulator, version):
    """Workspaces and computes are as old as the service; a version matches in any case."""
    for path in (WORKSPACE, f"{WORKSPACE}/computes"):
        assert emulator.call("GET", path, params={"api-version": version}).status_code == 200


@pytest.mark.parametrize(("version", "status"), [("2019-11-01", 200), ("2021-04-01", 200), ("2018-11-19", 400)])
def test_groups_have_versions_of_their_own(emulator, version, status):
    """Subscriptions and resource groups are not Azure ML's: their versions are Resource Manager's."""
    for path in ("/subscriptions", SUBSCRIPTION, f"{SUBSCRIPTION}/resourceGroups", GROUP):
        answer = emulator.call("GET", path, params={"api-version": version})
        assert answer.status_code == status, path
        if status == 400:
            assert answer.json()["error"]["code"] == "InvalidApiVersionParameter"


def test_regional_services_look_at_no_version(emulator):
    """The article sends 2019-11-01 there, the v2 SDK `v1.0`, the v1 SDK nothing: all is well."""
    for query in ({"api-version": "2019-11-01"}, {"api-version": "v1.0"}, {"api-version": "banana"}, {}):
        assert emulator.call("GET", f"/history/v1.0{WORKSPACE}/experiments", params=query).status_code == 200


def test_a_filter_of_groups_is_read(emulator):
    """Groups are filtered by tags, of which the one group has none; any other filter is refused, never ignored."""
    groups = f"{SUBSCRIPTION}/resourceGroups"
    for wanted in ("tagName eq 'a'", "tagName eq 'a' and tagValue eq 'b'"):
        assert get(emulator, groups, **{"$filter": wanted}).json()["value"] == []
    answer = get(emulator, groups, **{"$filter": "name eq 'local'"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidFilterInQueryString")
