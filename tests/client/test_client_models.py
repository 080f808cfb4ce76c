"""Models of both generations: filters, changes, deletion of what is in use, and files of this machine."""

from __future__ import annotations

import re

import pytest
from client_support import ARM, regional

from airflow_azml.client.specs.registration import MARKER
from airflow_azml.client.transport import errors

MODELS = f"{ARM}/models"
MANAGED = regional("modelmanagement/v1.0") + "/models"
SERVICES = regional("modelmanagement/v1.0") + "/services"
ASSETS = regional("modelmanagement/v1.0") + "/assets"
ARTIFACTS = regional("artifact/v2.0") + "/artifacts"
ENDPOINTS = f"{ARM}/onlineEndpoints"
KEY = {"name": "m", "key": "k1", "tags": {"a": 1}}


def arm(version, uri="azureml://jobs/r1/outputs/artifacts/paths/model", **properties):
    return {"name": version, "properties": {"modelUri": uri, "provisioningState": "Succeeded", **properties}}


def managed(version, name="m", **fields):
    return {"id": f"{name}:{version}", "name": name, "version": version, "kvTags": {}, "properties": {}, **fields}


def sent(mock, method):
    return [request for request in mock.request_history if request.method == method]


def test_v2_list_of_all_models_with_filters(client, requests_mock):
    """Every name, every page; the service is told the tags, and what it sends too much is left out."""
    requests_mock.get(MODELS, json={"value": [{"name": "m"}], "nextLink": f"{MODELS}?page=2"})
    requests_mock.get(f"{MODELS}?page=2", json={"value": [{"name": "n"}]})
    rows = [arm("3", tags={"stage": "prod"}), arm("2", tags={"stage": "test"}), arm("1", uri="azureml://jobs/r2/x")]
    requests_mock.get(f"{MODELS}/m/versions", json={"value": rows})
    requests_mock.get(f"{MODELS}/n/versions", json={"value": [arm("1", tags={"stage": "prod"})]})
    found = client.models.list(tags={"stage": "prod"}, run_id="r1")
    assert [(model.name, model.version) for model in found] == [("m", "3"), ("n", "1")]
    assert requests_mock.last_request.qs["tags"] == ["stage=prod"]
    assert [model.version for model in client.models.list("m", run_id="r2")] == ["1"]
    assert [model.version for model in client.models.list("m", tags={"stage": None})] == ["3", "2"]


def test_v1_list_with_filters(make_client, requests_mock):
    """The parameters of MLModels_ListQuery; a tag with a comma in it is filtered here only."""
    client = make_client(api="v1")
    rows = [managed(2, kvTags={"a": "x,y"}, runId="r1"), managed(1, runId="r1"), managed(9, name="other")]
    requests_mock.get(MANAGED, json={"value": rows})
    assert [model.version for model in client.models.list("m", tags={"a": "x,y"}, run_id="r1")] == ["2"]
    assert requests_mock.last_request.qs == {"name": ["m"], "runid": ["r1"], "orderby": ["createdatdesc"]}
    assert len(list(client.models.list())) == 3
    assert "name" not in requests_mock.last_request.qs


def test_v2_update_writes_the_whole_version_back(client, requests_mock):
    """Tags are merged, what is read-only is left out, what was not asked for stays; the same again sends nothing."""
    inner = {"tags": {"a": "1"}, "jobName": "r1", "stage": "dev", "provisioningState": "Succeeded"}
    requests_mock.get(f"{MODELS}/m/versions/1", json=arm("1", **inner))
    requests_mock.put(f"{MODELS}/m/versions/1", json=arm("1", tags={"a": "2"}))
    client.models.update("m", "1", tags={"b": 2}, description="d")
    assert requests_mock.last_request.json()["properties"] == {
        "modelUri": "azureml://jobs/r1/outputs/artifacts/paths/model",
        "jobName": "r1",
        "stage": "dev",
        "tags": {"a": "1", "b": "2"},
        "description": "d",
    }
    client.models.update("m", "1", tags={"a": 1})
    assert requests_mock.last_request.method == "GET"


def test_v1_update_is_a_json_patch(make_client, requests_mock):
    """The tags are called kvTags, and are replaced as a whole."""
    client = make_client(api="v1")
    requests_mock.get(f"{MANAGED}/m%3A1", json=managed(1, kvTags={"a": "1"}))
    requests_mock.patch(f"{MANAGED}/m%3A1", json=managed(1))
    client.models.update("m", "1", tags={"b": 2})
    patch = [{"op": "replace", "path": "/kvTags", "value": {"a": "1", "b": "2"}}]
    assert requests_mock.last_request.json() == patch
    client.models.update("m", "1", tags={"a": 1}, description="d")
    assert requests_mock.last_request.json() == [{"op": "replace", "path": "/description", "value": "d"}]
    client.models.update("m", "1", tags={"a": 1})
    assert requests_mock.last_request.method == "GET"


@pytest.fixture
def in_use(requests_mock):
    """A deployment that serves version 1 of m."""
    requests_mock.get(ENDPOINTS, json={"value": [{"name": "ep1"}]})
    blue = {"name": "blue", "properties": {"model": "/subscriptions/x/MODELS/m/versions/1"}}
    green = {"name": "green", "properties": {"model": "/subscriptions/x/models/m/versions/11"}}
    requests_mock.get(f"{ENDPOINTS}/ep1/deployments", json={"value": [blue, green]})


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("status", [400, 409, 412])
def test_v2_deletion_of_a_model_in_use_says_by_whom(client, requests_mock, status):
    """Whatever status the service refuses with."""
    requests_mock.delete(f"{MODELS}/m/versions/1", status_code=status, json={"error": {"code": "X", "message": "no."}})
    with pytest.raises(errors.ConflictError, match=r"X: no\. It is used by deployment blue of endpoint ep1\. Delete"):
        client.models.delete("m", "1")


@pytest.mark.usefixtures("in_use")
def test_v1_deletion_of_a_model_in_use_names_classic_services_too(make_client, requests_mock):
    """Both kinds of users are looked for; the model is named as the service calls it."""
    client = make_client(api="v1")
    requests_mock.delete(f"{MANAGED}/m%3A1", status_code=412, json={"code": "DeletionRequired", "message": "in use"})
    requests_mock.get(SERVICES, json={"value": [{"name": "svc", "computeType": "ACI"}]})
    with pytest.raises(errors.ConflictError, match=r"deployment blue of endpoint ep1, ACI service svc"):
        client.models.delete("m", "1")
    assert requests_mock.last_request.qs == {"modelid": ["m:1"]}


@pytest.mark.usefixtures("in_use")
def test_delete_all_deletes_what_it_can(client, requests_mock):
    """One version in use keeps neither the others, nor the reason."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": [arm("3"), arm("2"), arm("1")]})
    requests_mock.delete(f"{MODELS}/m/versions/3", status_code=200)
    requests_mock.delete(f"{MODELS}/m/versions/2", status_code=204)
    requests_mock.delete(f"{MODELS}/m/versions/1", status_code=409, json={"error": {"message": "in use"}})
    with pytest.raises(errors.ConflictError, match=r"deployment blue of endpoint ep1\. Deleted: 3\."):
        client.models.delete_all("m")
    requests_mock.delete(f"{MODELS}/m/versions/1", status_code=200)
    assert client.models.delete_all("m") == ("3", "1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "a.pkl").write_bytes(b"aaa")
    (tmp_path / "model" / "sub" / "b").write_bytes(b"")
    (tmp_path / "model" / "link").symlink_to("/etc/hostname")
    return tmp_path / "model"


@pytest.fixture
def uploads(requests_mock):
    """The artifact service and the blob storage behind it; what was put where."""
    stored = {}

    def places(request, _):
        paths = [row["path"] for row in request.json()["paths"]]
        container = request.path.split("/")[-3]
        base = f"https://sa.blob.core.windows.net/azureml/LocalUpload/{container}"
        return {"artifactContentInformation": {path: {"contentUri": f"{base}/{path}?sig=s1"} for path in paths}}

    def keep(request, context):
        context.status_code = 201
        stored[request.path.rpartition("/model/")[2]] = b"".join(request.body) if request.body else b""
        assert "Authorization" not in request.headers
        return ""

    requests_mock.post(re.compile(re.escape(f"{ARTIFACTS}/localupload/"), re.IGNORECASE), json=places)
    requests_mock.put(re.compile("https://sa.blob.core.windows.net/"), text=keep)
    return stored


def test_v2_registers_local_files(client, requests_mock, folder, uploads, secrets):
    """Uploaded through the artifact service, named as a path of its datastore; links stay at home."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": []})
    requests_mock.get(MODELS + "/m", status_code=404)
    requests_mock.get(f"{MODELS}/m/versions/1", status_code=404)
    requests_mock.put(f"{MODELS}/m/versions/1", json=arm("1", properties={MARKER: "k1"}))
    assert client.models.register_local(folder, **KEY).version == "1"
    assert uploads == {"a.pkl": b"aaa", "sub/b": b""}
    uri = requests_mock.last_request.json()["properties"]["modelUri"]
    assert re.fullmatch(r"azureml://datastores/workspaceartifactstore/paths/LocalUpload/m-\w{12}/model", uri)
    assert "s1" in secrets


def test_v1_registers_local_files(make_client, requests_mock, folder, uploads):
    """An asset by its prefix, then the model, without a run."""
    client = make_client(api="v1")
    requests_mock.get(MANAGED, json={"value": []})
    requests_mock.post(ASSETS, json={"id": "a1"})
    requests_mock.post(MANAGED, json=managed(1))
    client.models.register_local(folder / "a.pkl", name="m", key="k1", path="model/x.pkl")
    assert uploads == {"x.pkl": b"aaa"}
    asset, model = (request.json() for request in sent(requests_mock, "POST")[-2:])
    assert re.fullmatch(r"LocalUpload/m-\w{12}/model/x.pkl", asset["artifacts"][0]["prefix"])
    assert "runid" not in asset
    assert "runId" not in model


def test_local_files_are_registered_once(client, requests_mock, folder):
    """A version with the caller's key is adopted, and nothing is uploaded again."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": [arm("4", properties={MARKER: "k1"})]})
    assert client.models.register_local(folder, **KEY).version == "4"
    assert {request.method for request in requests_mock.request_history} == {"GET"}


def test_local_files_that_are_not_there(client, requests_mock, tmp_path):
    """Said before anything is uploaded."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": []})
    (tmp_path / "empty").mkdir()
    for source, reason in ((tmp_path / "no", "neither a file nor a folder"), (tmp_path / "empty", "no files")):
        with pytest.raises(errors.InputError, match=reason):
            client.models.register_local(source, **KEY)
