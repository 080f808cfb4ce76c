"""Model management (v1): registering, listing, changing and deleting models as the service's own clients do."""

from __future__ import annotations

import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import Store
from airflow_azml.emulator.models.registry import Models
from airflow_azml.emulator.storage.blobs import BlobStore

ROOT = f"/modelmanagement/v1.0{facts.WORKSPACE_PATH}"
ARTIFACTS = f"/artifact/v2.0{facts.WORKSPACE_PATH}/artifacts"


def _upload(emulator, files):
    """Upload files as artifacts and return their container."""
    container = uuid.uuid4().hex
    body = {"paths": [{"path": path} for path in files]}
    answer = emulator.call("POST", f"{ARTIFACTS}/batch/metadata/LocalUpload/{container}", json=body).json()
    for path, content in files.items():
        url = answer["artifactContentInformation"][path]["contentUri"]
        requests.put(url, data=content, headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
    return f"LocalUpload/{container}"


def _register(emulator, name, **members):
    """Register a model of one file: an asset, then the model that points to it."""
    prefix = members.pop("prefix", None) or f"{_upload(emulator, {'model.pkl': b'weights'})}/model.pkl"
    asset = {"name": name, "artifacts": [{"prefix": prefix}], "runid": members.get("runId", "")}
    asset_id = emulator.call("POST", f"{ROOT}/assets", json=asset).json()["id"]
    body = {"name": name, "url": f"aml://asset/{asset_id}", "mimeType": "application/json", **members}
    answer = emulator.call("POST", f"{ROOT}/models", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_registration_is_the_next_version(emulator):
    """Registering twice makes two versions, with what was said of each."""
    first = _register(emulator, "twice", kvTags={"a": "b"}, properties={"p": "q"}, runId="r1", experimentName="e")
    second = _register(emulator, "twice", framework="ScikitLearn", frameworkVersion="1.5", description="better")
    assert [first["id"], second["id"]] == ["twice:1", "twice:2"]
    assert (first["version"], first["kvTags"], first["properties"], first["runId"]) == (1, {"a": "b"}, {"p": "q"}, "r1")
    read = emulator.call("GET", f"{ROOT}/models/twice%3A2").json()
    assert read == second
    assert (read["framework"], read["frameworkVersion"], read["description"]) == ("ScikitLearn", "1.5", "better")
    assert read["datasets"] == []


def test_a_version_number_is_never_given_twice(fresh_emulator):
    """A deleted version's number is not used again, also not after a restart."""
    for _ in range(2):
        _register(fresh_emulator, "numbered")
    assert fresh_emulator.call("DELETE", f"{ROOT}/models/numbered:2").status_code == 200
    fresh_emulator.kill()
    fresh_emulator.start()
    assert _register(fresh_emulator, "numbered")["id"] == "numbered:3"


def test_the_asset_leads_to_the_model_files(emulator):
    """Downloading as azureml-core does, model to asset to artifact, ends at the bytes that were registered."""
    model = _register(emulator, "followed")
    asset = emulator.call("GET", f"{ROOT}/assets/{model['url'].removeprefix('aml://asset/')}").json()
    prefix = asset["artifacts"][0]["prefix"]
    found = emulator.call("GET", f"{ARTIFACTS}/prefix/contentinfo/{prefix}").json()["value"]
    assert [requests.get(one["contentUri"], timeout=10).content for one in found] == [b"weights"]


def test_a_patch_changes_tags_and_description_and_adds_properties(emulator):
    """Tags and description are replaced, properties are added to, what a patch does not name stays."""
    _register(emulator, "patched", kvTags={"old": "1"}, properties={"fixed": "1"}, framework="Keras")
    operations = [
        {"op": "replace", "path": "/kvTags", "value": {"new": "2"}},
        {"op": "replace", "path": "/description", "value": "told"},
        {"op": "add", "path": "/properties/more", "value": "2"},
        {"op": "add", "path": "/kvTags/a~1b", "value": "3"},
    ]
    patched = emulator.call("PATCH", f"{ROOT}/models/patched:1", json=operations)
    assert patched.status_code == 200
    read = emulator.call("GET", f"{ROOT}/models/patched:1").json()
    assert read == patched.json()
    assert read["kvTags"] == {"new": "2", "a/b": "3"}
    assert (read["description"], read["framework"]) == ("told", "Keras")
    assert read["properties"] == {"fixed": "1", "more": "2"}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "replace", "path": "/properties", "value": {"fixed": "2"}}],
        [{"op": "remove", "path": "/properties/fixed"}],
        [{"op": "replace", "path": "/name", "value": "other"}],
        [{"op": "replace", "path": "/kvTags", "value": {"number": 1}}],
        [{"op": "replace", "path": "/kvTags", "value": "text"}],
        [{"op": "move", "from": "/kvTags", "path": "/description"}],
        [{"op": "replace", "path": "/description/x", "value": "deep"}],
        ["no operation"],
        {"op": "replace"},
    ],
)
def test_a_patch_that_may_not_be_is_refused_and_changes_nothing(emulator, operations):
    """Properties are immutable, and what is no patch is a 400, not half a patch."""
    model = _register(emulator, "refused", properties={"fixed": "1"}, kvTags={"a": "b"})
    both = (
        [{"op": "add", "path": "/kvTags/half", "value": "x"}, *operations]
        if isinstance(operations, list)
        else operations
    )
    answer = emulator.call("PATCH", f"{ROOT}/models/{model['id']}", json=both)
    assert answer.status_code == 400
    assert emulator.call("GET", f"{ROOT}/models/{model['id']}").json() == model


def test_lists_are_filtered_by_everything_the_service_filters_by(emulator):
    """Every filter of MLModels_ListQuery narrows the list to what fits."""
    one = _register(emulator, "filter-a", runId="run-a", framework="Onnx", kvTags={"k": "1", "only": ""})
    two = _register(emulator, "filter-b", properties={"p": "1"}, kvTags={"k": "2"}, description="second")
    newer = _register(emulator, "filter-a", kvTags={"k": "1"})

    def found(**query):
        answer = emulator.call("GET", f"{ROOT}/models", params=query).json()
        return [model["id"] for model in answer["value"] if model["name"].startswith("filter-")]

    assert found(name="filter-a") == [newer["id"], one["id"]]
    assert found(name="filter-a", orderBy="CreatedAtAsc") == [one["id"], newer["id"]]
    assert found(name="filter-a", latestVersionOnly="true") == [newer["id"]]
    assert found(runId="run-a") == [one["id"]]
    assert found(framework="Onnx") == [one["id"]]
    assert found(description="second") == [two["id"]]
    assert found(tags="k") == [newer["id"], two["id"], one["id"]]
    assert found(tags="k=1") == [newer["id"], one["id"]]
    assert found(tags="k=1,only") == [one["id"]]
    assert found(properties="p=1") == [two["id"]]
    emulator.call("PATCH", f"{ROOT}/models/{one['id']}", json=[{"op": "add", "path": "/kvTags/x", "value": "y"}])
    assert found(orderBy="UpdatedAtDesc")[0] == one["id"]
    assert emulator.call("GET", f"{ROOT}/models", params={"orderBy": "Random"}).status_code == 400


def test_pages_follow_the_next_link_and_the_token_in_it(emulator):
    """Pages of the asked size lead through all models, by nextLink and by azureml-core's own `$skipToken`."""
    ids = [_register(emulator, "paged")["id"] for _ in range(5)]
    query = {"name": "paged", "count": "2"}
    page = emulator.call("GET", f"{ROOT}/models", params=query).json()
    token = parse_qs(urlsplit(page["nextLink"]).query)["$skipToken"]
    assert page["nextLink"].startswith(emulator.url)
    seen = [model["id"] for model in page["value"]]
    assert emulator.call("GET", f"{ROOT}/models", params={**query, "$skipToken": token}).json()["value"]
    while "nextLink" in page:
        page = emulator.call("GET", page["nextLink"]).json()
        assert len(page["value"]) <= 2
        seen += [model["id"] for model in page["value"]]
    assert seen == ids[::-1]


def test_deleting_says_whether_it_existed(emulator):
    """A deleted version is gone: 200 the first time, 204 after that, 404 to read; its siblings stay."""
    model, sibling = _register(emulator, "deleted"), _register(emulator, "deleted")
    assert emulator.call("DELETE", f"{ROOT}/models/{model['id']}").status_code == 200
    assert emulator.call("DELETE", f"{ROOT}/models/{model['id']}").status_code == 204
    assert emulator.call("GET", f"{ROOT}/models/{model['id']}").status_code == 404
    assert emulator.call("GET", f"{ROOT}/models/{sibling['id']}").status_code == 200


def test_a_model_in_use_is_not_deleted(tmp_path):
    """The service refuses with 412 DeletionRequired and names who uses the version."""
    store = Store(tmp_path / "store.sqlite")
    models = Models(store, BlobStore(tmp_path / "blobs", store))
    models.register("used", "", {"locations": []})
    with pytest.raises(Fault) as refused:
        models.delete("used", "1", lambda *_: ["endpoint/blue"])
    assert (refused.value.status, refused.value.code) == (412, "DeletionRequired")
    assert "endpoint/blue" in refused.value.message
    assert models.delete("used", "1", lambda *_: [])
    store.close()


def test_errors_are_flat(emulator):
    """Model management answers errors without an `error` around them, with the details that its SDK reads."""
    error = emulator.call("GET", f"{ROOT}/models/absent:1").json()
    assert (error["code"], error["statusCode"], error["details"]) == ("ModelNotFound", 404, [])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "mimeType": "a"},
        {"name": "x", "url": "aml://asset/absent", "mimeType": ""},
        {"name": "x", "url": "https://elsewhere/model", "mimeType": "a"},
        {"name": "no spaces", "url": "aml://artifact/LocalUpload/a/b", "mimeType": "a"},
        {"name": 7, "url": "aml://artifact/LocalUpload/a/b", "mimeType": "a"},
        {"name": "x", "url": "aml://artifact/LocalUpload/a/b", "mimeType": "a", "kvTags": {"a": 1}},
        {"name": "x", "url": "aml://artifact/LocalUpload/a/b", "mimeType": "a", "unpack": "yes"},
        {"name": "x", "url": "aml://artifact/LocalUpload/a/b", "mimeType": "a", "datasets": [1]},
        {"name": "x", "url": "aml://artifact/LocalUpload/a/b", "mimeType": "a", "framework": 0},
    ],
)
def test_a_model_that_makes_no_sense_is_refused(emulator, body):
    """Missing members, foreign addresses and wrong types are 4xx answers and register nothing."""
    assert emulator.call("POST", f"{ROOT}/models", json=body).status_code in {400, 404}
    assert emulator.call("GET", f"{ROOT}/models", params={"name": "x"}).json()["value"] == []


def test_assets_are_listed_changed_and_deleted(emulator):
    """An asset keeps what it is made of; tags and description may change."""
    body = {"name": "thing", "artifacts": [{"id": "LocalUpload/a/b"}], "runid": "asset-run"}
    asset = emulator.call("POST", f"{ROOT}/assets", json=body).json()
    listed = emulator.call("GET", f"{ROOT}/assets", params={"runId": "asset-run"}).json()["value"]
    assert listed == [asset]
    url = f"{ROOT}/assets/{asset['id']}"
    operations = [{"op": "add", "path": "/kvTags/a", "value": "b"}]
    assert emulator.call("PATCH", url, json=operations).json()["kvTags"] == {"a": "b"}
    assert emulator.call("GET", url).json()["artifacts"] == body["artifacts"]
    assert [emulator.call("DELETE", url).status_code for _ in range(2)] == [200, 204]
    assert emulator.call("PATCH", url, json=operations).status_code == 404
    bad = [{"name": "x", "artifacts": "a"}, {"name": "x", "artifacts": [{}]}, {"artifacts": []}]
    assert {emulator.call("POST", f"{ROOT}/assets", json=one).status_code for one in bad} == {400}


def test_services_are_a_named_501(emulator):
    """Classic web services are not offered, and the answer says so."""
    answer = emulator.call("GET", f"{ROOT}/services")
    assert answer.status_code == 501
    assert "/services" in answer.json()["message"]
