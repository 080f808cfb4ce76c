"""The classic registry (v1): filters, registrations, changes, deletions, and files of this machine."""

from __future__ import annotations

import re

import pytest
from client_support import ARM, regional, sent
from model_support import MANAGED, RUN, WANTED

from airflow_azml.client.specs.registration import MARKER
from airflow_azml.client.transport import errors

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


ENDPOINTS = f"{ARM}/onlineEndpoints"


SERVICES = regional("modelmanagement/v1.0") + "/services"


def managed_model(version, name="m", **fields):
    return {"id": f"{name}:{version}", "name": name, "version": version, "kvTags": {}, "properties": {}, **fields}


def test_v1_list_with_filters(make_client, requests_mock):
    """The parameters of MLModels_ListQuery; a tag with a comma in it is filtered here only."""
    client = make_client(api="v1")
    rows = [
        managed_model(2, kvTags={"a": "x,y"}, runId="r1"),
        managed_model(1, runId="r1"),
        managed_model(9, name="other"),
    ]
    requests_mock.get(MANAGED, json={"value": rows})
    assert [model.version for model in client.models.list("m", tags={"a": "x,y"}, run_id="r1")] == ["2"]
    assert requests_mock.last_request.qs == {"name": ["m"], "runid": ["r1"], "orderby": ["createdatdesc"]}
    assert len(list(client.models.list())) == 3
    assert "name" not in requests_mock.last_request.qs


def test_v1_update_is_a_json_patch(make_client, requests_mock):
    """The tags are called kvTags, and are replaced as a whole."""
    client = make_client(api="v1")
    requests_mock.get(f"{MANAGED}/m%3A1", json=managed_model(1, kvTags={"a": "1"}))
    requests_mock.patch(f"{MANAGED}/m%3A1", json=managed_model(1))
    client.models.update("m", "1", tags={"b": 2})
    patch = [{"op": "replace", "path": "/kvTags", "value": {"a": "1", "b": "2"}}]
    assert requests_mock.last_request.json() == patch
    client.models.update("m", "1", tags={"a": 1}, description="d")
    assert requests_mock.last_request.json() == [{"op": "replace", "path": "/description", "value": "d"}]
    client.models.update("m", "1", tags={"a": 1})
    assert requests_mock.last_request.method == "GET"


@pytest.mark.usefixtures("in_use")
def test_v1_deletion_of_a_model_in_use_names_classic_services_too(make_client, requests_mock):
    """Both kinds of users are looked for; the model is named as the service calls it."""
    client = make_client(api="v1")
    requests_mock.delete(f"{MANAGED}/m%3A1", status_code=412, json={"code": "DeletionRequired", "message": "in use"})
    requests_mock.get(SERVICES, json={"value": [{"name": "svc", "computeType": "ACI"}]})
    with pytest.raises(errors.ConflictError, match=r"deployment blue of endpoint ep1, ACI service svc"):
        client.models.delete("m", "1")
    assert requests_mock.last_request.qs == {"modelid": ["m:1"]}


def test_v1_registers_local_files(make_client, requests_mock, folder, uploads):
    """An asset by its prefix, then the model, without a run."""
    client = make_client(api="v1")
    requests_mock.get(MANAGED, json={"value": []})
    requests_mock.post(ASSETS, json={"id": "a1"})
    requests_mock.post(MANAGED, json=managed_model(1))
    client.models.register_local(folder / "a.pkl", name="m", key="k1", path="model/x.pkl")
    assert uploads == {"x.pkl": b"aaa"}
    asset, model = (request.json() for request in sent(requests_mock, "POST")[-2:])
    assert re.fullmatch(r"LocalUpload/m-\w{12}/model/x.pkl", asset["artifacts"][0]["prefix"])
    assert "runid" not in asset
    assert "runId" not in model
