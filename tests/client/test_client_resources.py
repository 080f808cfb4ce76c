"""Computes, models, environments, code, endpoints, deployments: method, path, body, and what becomes of the answers."""

from __future__ import annotations

import re

import msgspec
import pytest
from client_support import ARM, WS, regional

from airflow_azml.client.resources.endpoint import endpoint_page
from airflow_azml.client.resources.model_version import Model, model_page
from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.routing import Workspace
from airflow_azml.client.specs.registration import MARKER
from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation

OPERATION = "https://management.azure.com/subscriptions/s/providers/x/operations/1?api-version=2019-11-01"
STARTED = {"Azure-AsyncOperation": OPERATION}
RUN = Run.of({"runId": "r1", "status": "Completed", "dataContainerId": "dcid.r1"})


def sent(mock, method):
    return [request for request in mock.request_history if request.method == method]


# --- long-running operations ---


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({**STARTED, "Location": "https://management.azure.com/l"}, "status"),
        ({"Location": OPERATION}, "location"),
    ],
)
def test_where_an_operation_is_looked_for(client, requests_mock, headers, kind):
    """Azure-AsyncOperation, then Location; as plain JSON and back."""
    requests_mock.put(OPERATION, headers={**headers, "Retry-After": "3"}, json={})
    operation = Operation.started_by(client.transport.request("PUT", OPERATION, operation="put"))
    assert (operation.url, operation.kind, operation.retry_after) == (OPERATION, kind, 3)
    assert msgspec.convert(msgspec.to_builtins(operation), Operation) == operation


def test_without_a_header_only_the_resource_tells(client, requests_mock):
    """There is no operation to follow."""
    requests_mock.put(OPERATION, headers={"Retry-After": "3"}, json={})
    assert Operation.started_by(client.transport.request("PUT", OPERATION, operation="put")) is None


@pytest.mark.parametrize(
    ("kind", "answer", "status"),
    [
        ("status", {"json": {"status": "InProgress"}}, "InProgress"),
        ("status", {"json": {"status": "succeeded"}}, "Succeeded"),
        ("status", {"json": {"status": "Cancelled"}}, "Canceled"),
        ("status", {"json": {}}, "InProgress"),
        ("status", {"status_code": 404}, "Unknown"),
        ("location", {"status_code": 404}, "Unknown"),
        ("location", {"status_code": 403}, "Unknown"),
        ("location", {"status_code": 202}, "InProgress"),
        ("location", {"status_code": 204}, "Succeeded"),
        ("location", {"json": {"properties": {"provisioningState": "Failed"}}}, "Failed"),
        ("location", {"json": {"properties": {"provisioningState": "Creating"}}}, "InProgress"),
        ("location", {"json": {"properties": {"provisioningState": "Succeeded"}}}, "Succeeded"),
        ("location", {"json": {"name": "no state at all"}}, "Succeeded"),
    ],
)
def test_how_far_an_operation_is(client, requests_mock, kind, answer, status):
    """Each kind of address is read by its own rule."""
    requests_mock.get(OPERATION, **answer, headers={"Retry-After": "2"})
    state = Operation(OPERATION, kind).poll(client.transport)
    assert state.status == status
    assert state.done is (status != "InProgress")
    assert (state.error is not None) is (status in {"Failed", "Canceled"})


def test_a_failed_operation_says_why_although_http_says_200(client, requests_mock):
    """The reason is the deepest one."""
    requests_mock.get(OPERATION, json={"status": "Failed", "error": {"code": "Quota", "message": "no cores left"}})
    error = Operation(OPERATION, "status").poll(client.transport).error
    assert (error.code, error.message) == ("Quota", "no cores left")


def test_a_foreign_operation_address_is_refused(client, requests_mock):
    """The token does not follow a header to another host."""
    with pytest.raises(errors.UntrustedHostError):
        Operation("https://evil.example/op", "location").poll(client.transport)
    assert requests_mock.request_history == []


# --- workspace ---


def test_studio_links(client):
    """Every page names the workspace and, when it is known, the tenant."""
    workspace = Workspace("s", "g", "w")
    url = workspace.studio_url(client.runs.page(client.runs.target("r 1")), tenant_id="t")
    assert url == f"https://ml.azure.com/runs/r%201?wsid={WS}&tid=t"
    assert workspace.studio_url(model_page("m", "1"), studio="https://ml.azure.us") == (
        f"https://ml.azure.us/model/m:1/details?wsid={WS}"
    )
    pages = [client.computes.page(client.computes.target("c")), endpoint_page("e")]
    assert pages == ["/compute/c/details", "/endpoints/realtime/e/detail"]
    assert workspace.studio_url() == f"https://ml.azure.com/home?wsid={WS}"


def test_names_are_encoded_in_urls_and_nowhere_else(make_client, requests_mock):
    """A group called "Instruktører (1)" is written so in ids, once encoded in URLs, and so in the links to studio."""
    workspace = Workspace("s", "Instruktører (1)", "w")
    encoded = WS.replace("/g/", "/Instrukt%C3%B8rer%20%281%29/")
    assert workspace.arm_id == WS.replace("/g/", "/Instruktører (1)/")
    assert workspace.arm_path == encoded
    assert workspace.studio_url() == f"https://ml.azure.com/home?wsid={encoded}"
    client = make_client()
    client.environments.workspace = workspace
    url = f"https://management.azure.com{encoded}/environments/e/versions/1"
    requests_mock.get(url, json={"properties": {"image": "i"}})
    made = client.environments.create("e", {"image": "i"}, version="1")
    assert made.id == f"{workspace.arm_id}/environments/e/versions/1"
    assert requests_mock.last_request.url.startswith(url)
    client.models.workspace = workspace
    model = Model(name="m", version="1", id="m:1")
    assert client.models.arm_id(model) == f"{workspace.arm_id}/models/m/versions/1"


def test_a_client_needs_a_known_api(make_client):
    """Only the two generations exist."""
    with pytest.raises(errors.InputError, match="'v1' or 'v2'"):
        make_client(api="v3")
    with make_client(api="v1") as client:
        assert type(client.models).__name__ == "ClassicModels"


# --- computes ---

COMPUTE = {
    "name": "cpu",
    "location": "eastus",
    "properties": {
        "computeType": "AmlCompute",
        "provisioningState": "Failed",
        "provisioningErrors": [{"error": {"code": "Quota", "message": "no cores"}}],
        "properties": {
            "vmSize": "STANDARD_D2_V2", "vmPriority": "Dedicated", "allocationState": "Steady", "currentNodeCount": 1,
            "scaleSettings": {"maxNodeCount": 2},
        },
    },
}  # fmt: skip
COMPUTES = f"{ARM}/computes"


def test_compute_create(client, requests_mock, secrets):
    """PUT with the spec; the location is the workspace's when none is given; the password is reported as secret."""
    requests_mock.get(f"{COMPUTES}/cpu", status_code=404)
    requests_mock.put(f"{COMPUTES}/cpu", status_code=201, json=COMPUTE, headers=STARTED)
    inner = {"vmSize": "STANDARD_D2_V2", "userAccountCredentials": {"adminUserName": "u", "adminUserPassword": "pw"}}
    spec = {"properties": {"computeType": "AmlCompute", "properties": inner}}
    target = client.computes.create("cpu", spec)
    assert requests_mock.last_request.json() == {"location": "eastus", **spec}
    assert requests_mock.last_request.qs == {"api-version": ["2019-11-01"]}
    assert target.operation == Operation(OPERATION, "status")
    requests_mock.get(f"{COMPUTES}/cpu", json=COMPUTE)
    compute = client.computes.get("cpu")
    assert (compute.vm_size, compute.errors, compute.current_nodes) == ("STANDARD_D2_V2", ("Quota: no cores",), 1)
    assert "pw" in secrets


def test_a_compute_that_exists_is_not_created_again(client, requests_mock):
    """A PUT would replace it for good."""
    requests_mock.get(f"{COMPUTES}/cpu", json=COMPUTE)
    with pytest.raises(errors.ConflictError, match="it exists"):
        client.computes.create("cpu", {"properties": {"computeType": "AmlCompute"}})
    assert sent(requests_mock, "PUT") == []


def test_an_instance_is_created_with_an_api_version_that_has_instances(client, requests_mock):
    """2019-11-01 has none: the service would not know the type."""
    requests_mock.get(f"{COMPUTES}/box", status_code=404)
    requests_mock.put(f"{COMPUTES}/box", status_code=201, json=COMPUTE, headers=STARTED)
    client.computes.create("box", {"properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "x"}}})
    assert requests_mock.last_request.qs == {"api-version": ["2021-07-01"]}


@pytest.mark.parametrize("spec", [{"userAccountCredentials": {}}, {"properties": {"userAccountCredentials": {}}}])
def test_credentials_in_the_wrong_place_are_refused(client, requests_mock, spec):
    """Where the service would ignore them, we say where they belong."""
    with pytest.raises(errors.InputError, match=r"properties\.properties"):
        client.computes.create("cpu", spec)
    assert requests_mock.request_history == []


def test_compute_get_list_update_nodes(client, requests_mock):
    """Each call's method, path and body."""
    requests_mock.get(f"{COMPUTES}/cpu", json=COMPUTE)
    requests_mock.get(COMPUTES, json={"value": [COMPUTE]})
    requests_mock.patch(f"{COMPUTES}/cpu", json=COMPUTE)
    requests_mock.post(f"{COMPUTES}/cpu/listNodes", json={"nodes": [{"nodeId": "n1", "nodeState": "idle"}]})
    assert client.computes.get("cpu").scale_settings == {"maxNodeCount": 2}
    assert requests_mock.last_request.qs == {"api-version": ["2021-07-01"]}
    assert [compute.name for compute in client.computes.list()] == ["cpu"]
    assert client.computes.update_scale("cpu", {"maxNodeCount": 3}).operation is None
    assert requests_mock.last_request.json() == {"properties": {"scaleSettings": {"maxNodeCount": 3}}}
    assert client.computes.nodes("cpu")[0]["nodeState"] == "idle"


@pytest.mark.parametrize(("status", "there"), [(200, True), (202, True), (204, False), (404, False)])
def test_compute_delete(client, requests_mock, status, there):
    """The machines go too; what was not there is no error."""
    requests_mock.delete(f"{COMPUTES}/cpu", status_code=status, headers=STARTED)
    target = client.computes.delete("cpu")
    assert (target.goal, target.operation is not None) == ("gone", there)
    assert requests_mock.last_request.qs == {"api-version": ["2019-11-01"], "underlyingresourceaction": ["delete"]}


# --- models ---

ARTIFACT = regional("artifact/v2.0") + "/artifacts"
CONTENT = f"{ARTIFACT}/prefix/contentinfo/ExperimentRun/dcid.r1/outputs/model"
MODELS = f"{ARM}/models/m"
WANTED = {
    "name": "m",
    "path": "outputs/model/",
    "key": "k1",
    "tags": {"n": 1},
    "properties": {"p": "q"},
    "model_type": "mlflow_model",
}


@pytest.fixture
def outputs(requests_mock):
    requests_mock.get(CONTENT, json={"value": [{"path": "outputs/model/a", "contentUri": "https://sa/c?sig=x"}]})


def arm_version(version, key):
    return {
        "name": version,
        "id": f"{WS}/models/m/versions/{version}",
        "properties": {"properties": {MARKER: key}, "modelUri": "u"},
    }


def echo(request, _):
    return {"name": request.path.rpartition("/")[2], "id": "id", "properties": request.json()["properties"]}


@pytest.mark.usefixtures("outputs")
def test_v2_registration_puts_the_next_version(client, requests_mock):
    """The run's path becomes an azureml:// URI; tags are strings; the caller's key is kept."""
    requests_mock.get(f"{MODELS}/versions", status_code=404)
    requests_mock.get(MODELS, json={"properties": {"nextVersion": "3"}})
    requests_mock.get(f"{MODELS}/versions/3", status_code=404)
    requests_mock.put(f"{MODELS}/versions/3", status_code=201, json=echo)
    model = client.models.register(RUN, **WANTED)
    assert (model.name, model.version, model.run_id) == ("m", "3", "r1")
    assert requests_mock.last_request.json() == {
        "properties": {
            "modelUri": "azureml://jobs/r1/outputs/artifacts/paths/outputs/model", "modelType": "mlflow_model",
            "description": "", "tags": {"n": "1"}, "properties": {"p": "q", MARKER: "k1"}, "isAnonymous": False,
        }
    }  # fmt: skip
    assert client.models.arm_id(model) == f"{WS}/models/m/versions/3"


def test_v2_registration_is_made_once(client, requests_mock):
    """A version that has the caller's key is adopted, without looking at outputs that may be gone."""
    requests_mock.get(f"{MODELS}/versions", json={"value": [arm_version("2", "other"), arm_version("1", "k1")]})
    assert client.models.register(RUN, **WANTED).version == "1"
    assert sent(requests_mock, "PUT") == []


@pytest.mark.usefixtures("outputs")
def test_v2_registration_gives_way_to_a_faster_writer(client, requests_mock):
    """Two runs that want the same next version end with two versions."""
    requests_mock.get(f"{MODELS}/versions", json={"value": []})
    requests_mock.get(MODELS, [{"status_code": 404}, {"json": {"properties": {"nextVersion": "2"}}}])
    requests_mock.get(f"{MODELS}/versions/1", [{"status_code": 404}, {"json": arm_version("1", "other")}])
    requests_mock.get(f"{MODELS}/versions/2", status_code=404)
    requests_mock.put(f"{MODELS}/versions/1", status_code=409)
    requests_mock.put(f"{MODELS}/versions/2", json=echo)
    assert client.models.register(RUN, **WANTED).version == "2"


@pytest.mark.usefixtures("outputs")
def test_v2_registration_of_a_taken_version(client, requests_mock):
    """A version that was asked for and belongs to someone else is a conflict, not overwritten."""
    requests_mock.get(f"{MODELS}/versions", json={"value": []})
    requests_mock.get(f"{MODELS}/versions/7", json=arm_version("7", "other"))
    with pytest.raises(errors.ConflictError, match="version 7"):
        client.models.register(RUN, name="m", path="outputs/model", key="k1", version="7")
    assert sent(requests_mock, "PUT") == []


@pytest.mark.usefixtures("outputs")
def test_v2_registration_that_is_refused(client, requests_mock):
    """A refusal that has nothing to do with another writer is raised as it is."""
    requests_mock.get(f"{MODELS}/versions", json={"value": []})
    requests_mock.get(MODELS, status_code=404)
    requests_mock.get(f"{MODELS}/versions/1", status_code=404)
    requests_mock.put(f"{MODELS}/versions/1", status_code=400, json={"error": {"code": "Bad", "message": "type"}})
    with pytest.raises(errors.InvalidRequestError, match="Bad: type"):
        client.models.register(RUN, **WANTED)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_path_that_is_not_in_the_outputs(make_client, requests_mock, api):
    """Nothing is registered; what is there is listed."""
    client = make_client(api=api)
    requests_mock.get(f"{MODELS}/versions", status_code=404)
    requests_mock.get(MANAGED, json={"value": []})
    requests_mock.get(CONTENT, status_code=404)
    paths = [{"path": "logs/x"}, {"path": "outputs/modle/a"}]
    requests_mock.get(f"{ARTIFACT}/ExperimentRun/dcid.r1", json={"value": paths})
    with pytest.raises(errors.InputError, match=r"is not in the outputs of run r1; there is: outputs/modle/a$"):
        client.models.register(RUN, **WANTED)
    assert {request.method for request in requests_mock.request_history} == {"GET"}


@pytest.mark.parametrize(("status", "was"), [(200, True), (202, True), (204, False), (404, False)])
def test_v2_get_and_delete(client, requests_mock, status, was):
    """A version is read and deleted; what was not there is False."""
    rewritten = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.r9/outputs"
    requests_mock.get(f"{MODELS}/versions/1", json={"name": "1", "properties": {"modelUri": rewritten}})
    requests_mock.delete(f"{MODELS}/versions/1", status_code=status)
    assert client.models.get("m", "1").run_id == "r9"
    assert client.models.delete("m", "1") is was


MANAGED = regional("modelmanagement/v1.0") + "/models"
ASSETS = regional("modelmanagement/v1.0") + "/assets"


def managed(version, key="k1"):
    return {
        "id": f"m:{version}",
        "name": "m",
        "version": version,
        "properties": {MARKER: key},
        "runId": "r1",
        "kvTags": {"n": "1"},
    }


@pytest.mark.usefixtures("outputs")
def test_v1_registration(make_client, requests_mock):
    """Asset, then model: with the spec's spellings of runid and kvTags."""
    client = make_client(api="v1")
    requests_mock.get(MANAGED, json={"value": [managed(1, "other")]})
    requests_mock.post(ASSETS, json={"id": "a1"})
    requests_mock.post(MANAGED, json=managed(2))
    model = client.models.register(RUN, **WANTED)
    assert (model.version, model.id, model.run_id, model.tags) == ("2", "m:2", "r1", {"n": "1"})
    asset, registered = (request.json() for request in sent(requests_mock, "POST"))
    assert asset == {"name": "m", "artifacts": [{"prefix": "ExperimentRun/dcid.r1/outputs/model"}], "runid": "r1"}
    assert registered == {
        "name": "m", "url": "aml://asset/a1", "mimeType": "application/json", "unpack": False,
        "runId": "r1", "datasets": [],
        "kvTags": {"n": "1"}, "properties": {"p": "q", MARKER: "k1"}, "framework": "mlflow_model", "description": "",
    }  # fmt: skip
    listing = next(request for request in requests_mock.request_history if request.url.startswith(MANAGED))
    mark = "airflow_azml.registration=k1"
    assert listing.qs == {"name": ["m"], "runid": ["r1"], "orderby": ["createdatdesc"], "properties": [mark]}


@pytest.mark.usefixtures("outputs")
def test_v1_registration_whose_answer_was_lost_is_adopted(make_client, requests_mock):
    """Every POST would make another version: after a doubtful answer we look."""
    client = make_client(api="v1")
    requests_mock.get(MANAGED, [{"json": {"value": []}}, {"json": {"value": [managed(1)]}}])
    requests_mock.post(ASSETS, json={"id": "a1"})
    requests_mock.post(MANAGED, status_code=503, headers={"Retry-After": "1"})
    assert client.models.register(RUN, **WANTED).version == "1"
    assert len([request for request in sent(requests_mock, "POST") if request.url == MANAGED]) == 1


@pytest.mark.usefixtures("outputs")
def test_v1_registration_with_a_version(make_client, requests_mock):
    """The classic registry counts itself."""
    client = make_client(api="v1")
    requests_mock.get(MANAGED, json={"value": []})
    with pytest.raises(errors.InputError, match="counts versions"):
        client.models.register(RUN, name="m", path="outputs/model", key="k", version="7")


def test_v1_get_and_delete(make_client, requests_mock):
    """The id is one quoted segment; 204 means that it was not there; 412 says what to do."""
    client = make_client(api="v1")
    requests_mock.get(f"{MANAGED}/m%3A1", json=managed(1))
    assert client.models.get("m", "1").version == "1"
    requests_mock.delete(f"{MANAGED}/m%3A1", [{"status_code": 200}, {"status_code": 204}, {"status_code": 404}])
    assert [client.models.delete("m", "1") for _ in range(3)] == [True, False, False]
    requests_mock.delete(f"{MANAGED}/m%3A1", status_code=412, json={"code": "DeletionRequired", "message": "image i"})
    requests_mock.get(ENDPOINTS, status_code=403)  # who uses it cannot be seen: the refusal stays as it is
    with pytest.raises(errors.ConflictError, match=r"DeletionRequired: image i.*delete that first"):
        client.models.delete("m", "1")


# --- environments and code ---


def test_an_environment_is_made_once(client, requests_mock):
    """Its version is a hash of what is in it; conda is sent as YAML text; what exists is adopted."""
    url = f"{ARM}/environments/env/versions/"
    requests_mock.get(requests_mock_any(url), [{"status_code": 404}, {"json": {"id": "there"}}])
    requests_mock.put(requests_mock_any(url), json={"id": "made"})
    spec = {"image": "mcr/x", "condaFile": {"name": "e", "dependencies": ["python=3.11"]}}
    made, there = client.environments.create("env", spec), client.environments.create("env", spec)
    assert (made.id, there.id, made.version) == ("made", "there", there.version)
    body = sent(requests_mock, "PUT")[0].json()
    assert body == {"properties": {"image": "mcr/x", "condaFile": "name: e\ndependencies:\n- python=3.11\n"}}
    with pytest.raises(errors.InputError, match="needs an image"):
        client.environments.create("env", {"condaFile": "x"})


def requests_mock_any(prefix):
    return re.compile(re.escape(prefix))


@pytest.fixture
def code(tmp_path):
    (tmp_path / "score.py").write_text("def run(x): ...")
    (tmp_path / "empty file.txt").write_text("")
    return tmp_path


def test_code_is_uploaded_in_the_contracts_order(client, requests_mock, code, secrets):
    """Look by hash, ask for a place, upload without a bearer, mark, register."""
    uploaded = {}

    def keep(request, _):
        uploaded[request.url] = b"".join(request.body) if request.body else b""
        return ""

    codes = requests_mock_any(f"{ARM}/codes/")
    requests_mock.get(codes, json={"value": []})
    place = {
        "blobUri": "https://sa.blob.core.windows.net/c1",
        "credential": {"sasUri": "https://sa.blob.core.windows.net/c1?sv=1&sig=s1"},
    }
    requests_mock.post(codes, json={"blobReferenceForConsumption": place})
    requests_mock.put(requests_mock_any("https://sa.blob.core.windows.net/"), text=keep, status_code=201)
    requests_mock.put(codes, json={"id": "code-id"})
    assert client.code_assets.upload(code, entry_script="score.py") == "code-id"
    look, start, *blobs, mark, register = requests_mock.request_history[-6:]
    assert look.qs["hashversion"] == ["202208"]
    assert start.json() == {"pendingUploadType": "TemporaryBlobReference"}
    base = "https://sa.blob.core.windows.net/c1/src"
    assert [blob.url for blob in blobs] == [f"{base}/empty%20file.txt?sv=1&sig=s1", f"{base}/score.py?sv=1&sig=s1"]
    assert uploaded[blobs[1].url] == b"def run(x): ..."
    assert blobs[0].headers["Content-Length"] == "0"
    assert all("Authorization" not in blob.headers and blob.headers["x-ms-blob-type"] == "BlockBlob" for blob in blobs)
    assert (mark.qs["comp"], mark.headers["x-ms-meta-upload_status"]) == (["metadata"], "completed")
    properties = register.json()["properties"]
    assert properties["codeUri"] == base
    assert properties["properties"] == {"hash_sha256": look.qs["hash"][0], "hash_version": "202208"}
    assert "s1" in secrets


def test_code_that_is_there_is_not_uploaded(client, requests_mock, code):
    """The same folder has the same name and hash."""
    requests_mock.get(requests_mock_any(f"{ARM}/codes/"), json={"value": [{"id": "old"}]})
    assert client.code_assets.upload(code) == client.code_assets.upload(code) == "old"
    assert len({request.url for request in requests_mock.request_history}) == 1


# --- endpoints and deployments ---

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


def test_endpoint_list(client, requests_mock):
    """All endpoints of the workspace."""
    requests_mock.get(ENDPOINTS, json={"value": [ENDPOINT]})
    assert [endpoint.traffic for endpoint in client.endpoints.list()] == [{"green": 100}]


@pytest.mark.parametrize(
    "look",
    [
        lambda client: client.datastores.get("None"),
        lambda client: client.models.delete_all("None"),
        lambda client: client.models.delete_all(""),
        lambda client: next(client.models.list(""), None),
        lambda client: client.runs.children("None"),
        lambda client: client.runs.details(".."),
    ],
)
def test_what_is_no_name_is_refused_before_anything_is_sent(client, requests_mock, look):
    """An empty name means neither all nor the thing above; the error is an InputError."""
    with pytest.raises(errors.InputError, match="must be"):
        look(client)
    assert requests_mock.request_history == []
