"""Resource Manager's models: versions that clients choose, the next number, archives, and the bridge to v1."""

from __future__ import annotations

import uuid

import pytest
import requests
from runs_support import HISTORY, WORKSPACE

from airflow_azml.emulator.kernel import facts

V1 = f"/modelmanagement/v1.0{WORKSPACE}"
STORE = f"azureml://subscriptions/{facts.SUBSCRIPTION}/resourcegroups/local/workspaces/local/datastores"


def _blob(emulator, path, content=b"weights", container=facts.BLOBSTORE_CONTAINER):
    """Put a file into a container of the workspace's storage."""
    headers = {"x-ms-blob-type": "BlockBlob"}
    url = f"/_blob/{facts.STORAGE_ACCOUNT}/{container}/{path}"
    assert emulator.call("PUT", url, data=content, headers=headers).status_code == 201


@pytest.fixture
def folder(emulator):
    """The URI of a folder of model files in the default datastore."""
    name = f"LocalUpload/{uuid.uuid4().hex}/model"
    _blob(emulator, f"{name}/a.pkl")
    _blob(emulator, f"{name}/sub/b.txt")
    return f"azureml://datastores/workspaceblobstore/paths/{name}"


def _put(emulator, name, version, uri, **properties):
    body = {"properties": {"modelUri": uri, "isAnonymous": False, "flavors": None, **properties}}
    return emulator.arm("PUT", f"/models/{name}/versions/{version}", json=body)


def test_a_version_is_created_read_and_answered_in_full(emulator, folder):
    """201 with Location, then the version with every member that the SDK needs."""
    tags = {"team": "red"}
    answer = _put(emulator, "full", "7", folder, tags=tags, description="said", modelType="custom_model")
    assert answer.status_code == 201
    model = answer.json()
    assert model["id"] == f"{WORKSPACE}/models/full/versions/7"
    assert answer.headers["Location"].startswith(f"{emulator.url}{model['id']}?api-version=")
    assert model == emulator.arm("GET", "/models/full/versions/7").json()
    properties = model["properties"]
    assert properties["modelUri"] == folder.replace("azureml://datastores", STORE)
    assert properties["flavors"] == {}
    assert (properties["tags"], properties["description"]) == (tags, "said")
    assert (properties["provisioningState"], properties["jobName"]) == ("Succeeded", None)
    assert properties["stage"] == "Development"
    assert model["systemData"]["createdAt"]


def test_putting_the_same_version_again_changes_what_may_change(emulator, folder):
    """Registering is idempotent; tags and archive may change, the files may not, properties are only added."""
    first = _put(emulator, "again", "1", folder, properties={"p": "1"}).json()
    second = _put(emulator, "again", "1", folder, tags={"a": "b"}, properties={"q": "2"})
    assert second.status_code == 200
    assert second.json()["properties"]["tags"] == {"a": "b"}
    assert second.json()["properties"]["properties"] == {"p": "1", "q": "2"}
    assert second.json()["systemData"]["createdAt"] == first["systemData"]["createdAt"]
    assert _put(emulator, "again", "1", folder, properties={"p": "2"}).status_code == 400
    other = _put(emulator, "again", "1", f"{folder}/sub")
    assert other.status_code == 400
    assert other.json()["error"]["message"] == "Asset paths cannot be updated."


def test_the_next_version_is_a_number_that_was_never_used(emulator, folder):
    """The container counts over chosen, foreign and deleted versions; the latest is the last created."""
    absent = emulator.arm("GET", "/models/counted")
    assert absent.status_code == 404
    detail = absent.json()["error"]["details"][0]
    assert (detail["code"], detail["message"]) == ("ModelNotFound", "Model container with name: counted not found.")
    for version in ("1", "5", "candidate"):
        _put(emulator, "counted", version, folder)
    container = emulator.arm("GET", "/models/counted").json()["properties"]
    assert (container["latestVersion"], container["nextVersion"]) == ("candidate", "6")
    assert emulator.arm("DELETE", "/models/counted/versions/5").status_code == 200
    assert emulator.arm("DELETE", "/models/counted/versions/5").status_code == 204
    assert emulator.arm("GET", "/models/counted").json()["properties"]["nextVersion"] == "6"
    gone = emulator.arm("GET", "/models/counted/versions/5")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "UserError")


def test_the_latest_is_found_by_order_and_top(emulator, folder):
    """The SDK's way to the latest version: newest first, one of them."""
    for version in ("2", "10", "1"):
        _put(emulator, "ordered", version, folder, tags={"v": version})

    def names(**query):
        found = emulator.arm("GET", "/models/ordered/versions", params=query).json()["value"]
        return [model["name"] for model in found]

    assert names(**{"$orderBy": "createdtime desc", "$top": "1"}) == ["1"]
    assert names(**{"$orderBy": "createdtime asc"}) == ["2", "10", "1"]
    assert names(tags="v=10") == ["10"]
    assert names(version="2") == ["2"]


def test_archived_versions_are_out_of_sight_and_come_back(emulator, folder):
    """Archiving hides a version or a name from lists, not from a get; restoring brings it back."""
    _put(emulator, "archive", "1", folder)

    def seen(path, **query):
        return [model["name"] for model in emulator.arm("GET", path, params=query).json()["value"]]

    _put(emulator, "archive", "1", folder, isArchived=True)
    assert seen("/models/archive/versions") == []
    assert seen("/models/archive/versions", listViewType="ArchivedOnly") == ["1"]
    assert seen("/models/archive/versions", listViewType="All") == ["1"]
    assert emulator.arm("GET", "/models/archive/versions/1").status_code == 200
    _put(emulator, "archive", "1", folder, isArchived=False)
    assert seen("/models/archive/versions") == ["1"]
    archived = emulator.arm("PUT", "/models/archive", json={"properties": {"isArchived": True}})
    assert archived.status_code == 200
    assert "archive" not in seen("/models", listViewType="ActiveOnly", **{"$top": "1000"})
    assert "archive" in seen("/models", listViewType="ArchivedOnly", **{"$top": "1000"})
    assert emulator.arm("GET", "/models", params={"listViewType": "Some"}).status_code == 400


def test_a_job_output_becomes_the_path_of_its_artifacts(emulator):
    """`azureml://jobs/...` is answered as the datastore path, as the service does, and remembers the job."""
    run_id = f"job_{uuid.uuid4().hex[:8]}"
    emulator.call("PATCH", f"{HISTORY}/experiments/e/runs/{run_id}", json={"runId": run_id})
    tree = f"ExperimentRun/dcid.{run_id}/outputs/model"
    _blob(emulator, f"{tree}/m.pkl", container=facts.ARTIFACT_CONTAINER)
    uri = f"azureml://jobs/{run_id}/outputs/artifacts/paths/outputs/model/"
    properties = _put(emulator, "from-job", "1", uri).json()["properties"]
    assert properties["modelUri"] == f"{STORE}/workspaceartifactstore/paths/{tree}"
    assert properties["jobName"] == run_id
    assert _put(emulator, "from-job", "1", uri).status_code == 200
    assert emulator.call("GET", f"{V1}/models/from-job:1").json()["runId"] == run_id
    named = _put(emulator, "from-job", "2", f"azureml://jobs/{run_id}/outputs/other/paths/x")
    assert named.status_code == 400
    missing = _put(emulator, "from-job", "2", f"azureml://jobs/{run_id}/outputs/artifacts/paths/absent")
    assert missing.status_code == 400
    assert "absent" in missing.json()["error"]["message"]


def test_both_generations_see_the_same_models(emulator, folder):
    """A v1 model is a v2 version and the other way round; they share the count of versions."""
    path = "LocalUpload/bridge/m.pkl"
    _blob(emulator, path, container=facts.ARTIFACT_CONTAINER)
    body = {"name": "bridge", "url": f"aml://artifact/{path}", "mimeType": "a", "kvTags": {"a": "b"}}
    assert emulator.call("POST", f"{V1}/models", json=body).json()["id"] == "bridge:1"
    properties = emulator.arm("GET", "/models/bridge/versions/1").json()["properties"]
    assert properties["modelUri"] == f"{STORE}/workspaceartifactstore/paths/{path}"
    assert (properties["tags"], properties["modelType"], properties["flavors"]) == ({"a": "b"}, "custom_model", {})
    assert emulator.arm("GET", "/models/bridge").json()["properties"]["nextVersion"] == "2"
    _put(emulator, "bridge", "2", folder, tags={"c": "d"})
    _put(emulator, "bridge", "draft", folder)
    listed = emulator.call("GET", f"{V1}/models", params={"name": "bridge"}).json()["value"]
    assert [(model["id"], model["kvTags"]) for model in listed] == [("bridge:2", {"c": "d"}), ("bridge:1", {"a": "b"})]
    assert emulator.call("GET", f"{V1}/models/bridge:draft").status_code == 404
    assert emulator.call("DELETE", f"{V1}/models/bridge:2").status_code == 200
    assert emulator.call("POST", f"{V1}/models", json=body).json()["id"] == "bridge:3"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"modelUri": ""},
        {"modelUri": 7},
        {"modelUri": "https://elsewhere.blob.core.windows.net/c/x"},
        {"modelUri": "https://azuremllocal.blob.core.windows.net/azureml/absent"},
        {"modelUri": "azureml://datastores/unknown/paths/x"},
        {"modelUri": "azureml://datastores/workspaceblobstore/paths/absent"},
        {"modelUri": "azureml://datastores/workspaceblobstore/paths/../x"},
    ],
)
def test_a_model_without_files_is_refused(emulator, properties):
    """A URI that is none, leads elsewhere or to nothing makes no model."""
    answer = emulator.arm("PUT", "/models/nothing/versions/1", json={"properties": properties})
    assert answer.status_code in {400, 404}
    assert emulator.arm("GET", "/models/nothing").status_code == 404


def test_wrong_names_types_and_unknown_members_are_refused(emulator, folder):
    """The service reads v2 bodies strictly: an unknown member refuses the whole request by name."""
    unknown = _put(emulator, "strict", "1", folder, colour="red")
    assert unknown.status_code == 400
    assert "Could not find member 'colour'" in unknown.json()["error"]["details"][0]["message"]
    assert _put(emulator, "strict", "1", folder, tags={"a": 1}).status_code == 400
    assert _put(emulator, "strict", "1", folder, isArchived="no").status_code == 400
    assert _put(emulator, "strict", "1", folder, flavors=[]).status_code == 400
    assert _put(emulator, "-strict", "1", folder).status_code == 400
    assert _put(emulator, "strict", "one two", folder).status_code == 400
    assert emulator.arm("GET", "/models/strict").status_code == 404


SCRIPT = """
import os
def init():
    global found
    found = sorted(os.path.relpath(os.path.join(where, name), os.environ["AZUREML_MODEL_DIR"])
                   for where, _, names in os.walk(os.environ["AZUREML_MODEL_DIR"]) for name in names)
def run(data):
    return found
"""


def test_a_deployed_model_has_its_files_and_is_not_deleted(emulator, serving, folder):
    """A deployment finds the model's tree under its folder's name; while it lives both generations answer 412."""
    model = _put(emulator, "deployed", "1", folder).json()
    serving.endpoint("models-v2")
    serving.deploy("models-v2", "blue", SCRIPT, model=model["id"])
    serving.endpoint("models-v2", traffic={"blue": 100})
    assert serving.score("models-v2", {}).json() == ["model/a.pkl", "model/sub/b.txt"]
    refused = emulator.call("DELETE", f"{V1}/models/deployed:1")
    assert (refused.status_code, refused.json()["code"]) == (412, "DeletionRequired")
    assert "models-v2/blue" in refused.json()["message"]
    assert emulator.arm("DELETE", "/models/deployed/versions/1").status_code == 412
    assert emulator.arm("GET", "/models/deployed/versions/1").status_code == 200


def test_a_model_is_deleted_with_all_its_versions(emulator, serving, folder):
    """The name and every version go, unless a deployment uses one; what is not there is 204."""
    for version in ("1", "2"):
        _put(emulator, "whole", version, folder)
    serving.endpoint("models-whole")
    serving.deploy("models-whole", "blue", SCRIPT, model=emulator.arm("GET", "/models/whole/versions/2").json()["id"])
    assert emulator.arm("DELETE", "/models/whole").status_code == 412
    assert emulator.arm("GET", "/models/whole/versions/1").status_code == 200
    _put(emulator, "free", "1", folder)
    assert [emulator.arm("DELETE", "/models/free").status_code for _ in range(2)] == [200, 204]
    assert emulator.arm("GET", "/models/free").status_code == 404
    assert emulator.arm("GET", "/models/free/versions").json()["value"] == []


def test_the_files_of_a_model_are_read_with_a_signature(emulator, folder):
    """The URI in the answer leads a client with the datastore's key to the bytes."""
    uri = _put(emulator, "bytes", "1", folder).json()["properties"]["modelUri"]
    path = uri.partition("/paths/")[2]
    url = f"/_blob/{facts.STORAGE_ACCOUNT}/{facts.BLOBSTORE_CONTAINER}/{path}/a.pkl"
    assert emulator.call("GET", url).content == b"weights"
    assert requests.get(emulator.url + url, timeout=10).status_code == 401
