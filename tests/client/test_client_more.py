"""The rest of the resources: subscriptions, datastores, uploads, compute instances, endpoint credentials, scaling."""

from __future__ import annotations

import pytest
from client_support import ARM, regional

from airflow_azml.client.files.blobs import MAX_BLOB, files_in, upload
from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation

ROOT = "https://management.azure.com"
RUN = Run.of({"runId": "r1", "status": "Completed", "dataContainerId": "dcid.r1"})
ARTIFACTS = regional("artifact/v2.0") + "/artifacts"
ENDPOINTS = f"{ARM}/onlineEndpoints"
SCORE = "https://ep1.eastus.inference.ml.azure.com/score"


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


def test_datastores(client, requests_mock):
    """Whatever their type calls its container; their secrets are not asked for."""
    blob = {"datastoreType": "AzureBlob", "accountName": "sa", "containerName": "c", "isDefault": True}
    lake = {"datastoreType": "AzureDataLakeGen2", "filesystem": "f"}
    rows = [{"name": "b", "properties": blob}, {"name": "l", "properties": lake}]
    requests_mock.get(f"{ARM}/datastores", json={"value": rows})
    requests_mock.get(f"{ARM}/datastores/b", json=rows[0])
    assert [(found.container, found.is_default) for found in client.datastores.list()] == [("c", True), ("f", False)]
    assert client.datastores.get("b").uri("/x/y") == "azureml://datastores/b/paths/x/y"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "a.txt").write_text("a")
    (tmp_path / "out" / "sub" / "b c.txt").write_text("b")
    return tmp_path / "out"


def test_files_are_uploaded_to_a_run(client, requests_mock, folder, secrets):
    """A folder below a path, a file as the path; by SAS, without a bearer."""
    url = f"{ARTIFACTS}/ExperimentRun/dcid.r1/batch/metadata"

    def places(request, _):
        info = {
            row["path"]: {"contentUri": f"https://sa.blob.core.windows.net/{row['path']}?sig=s1"}
            for row in request.json()["paths"]
        }
        return {"artifactContentInformation": info, "errors": {}}

    requests_mock.post(url, json=places)
    requests_mock.put(requests_mock_any("https://sa.blob.core.windows.net/"), status_code=201)
    paths = client.artifacts.upload(RUN, folder, "outputs/report")
    assert paths == ("outputs/report/a.txt", "outputs/report/sub/b c.txt")
    assert client.artifacts.upload(RUN, folder / "a.txt", "outputs/x.txt") == ("outputs/x.txt",)
    puts = [request for request in requests_mock.request_history if request.method == "PUT"]
    assert len(puts) == 3
    assert all("Authorization" not in put.headers for put in puts)
    assert "s1" in secrets
    failed = {"outputs/a.txt": {"error": {"code": "UserError", "message": "exists already"}}}
    requests_mock.post(url, json={"artifactContentInformation": {}, "errors": failed})
    with pytest.raises(errors.ServiceError, match=r"UserError: outputs/a\.txt: exists already"):
        client.artifacts.upload(RUN, folder / "a.txt", "outputs/a.txt")


def requests_mock_any(prefix):
    import re  # noqa: PLC0415 - one use

    return re.compile(re.escape(prefix))


def test_a_blob_that_is_too_large(client, tmp_path):
    """Said before anything is sent."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MAX_BLOB + 1)
    with pytest.raises(errors.InputError, match="one blob upload takes"):
        upload(client.transport, "https://sa.blob.core.windows.net/x?sig=s", large, operation="upload")
    assert [name for name, _ in files_in(large)] == ["large"]


def test_all_outputs_are_downloaded(client, requests_mock, tmp_path):
    """Those below the prefix, to the same paths; the folders are made."""
    rows = [{"path": path} for path in ("outputs/a", "outputs/m/b", "outputsx", "logs/l")]
    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1", json={"value": rows})

    def place(request, _):
        return {"contentUri": f"https://sa.blob.core.windows.net/{request.qs['path'][0]}?sig=s"}

    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1/contentinfo", json=place)
    requests_mock.get(requests_mock_any("https://sa.blob.core.windows.net/"), content=b"x")
    paths = client.artifacts.download_all(RUN, "outputs", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["outputs/a", "outputs/m/b"]
    assert all(path.read_bytes() == b"x" for path in paths)


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
