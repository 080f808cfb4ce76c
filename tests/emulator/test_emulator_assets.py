"""Codes, environments and datastores as a v2 client uses them."""

from __future__ import annotations

import pytest

CONDA = "name: e\ndependencies:\n  - python=3.11\n  - pip:\n      - requests\n"


def test_code_is_uploaded_and_found_by_its_hash(emulator, serving):
    """A code's files go to a place of its own; any later upload of the same content finds it by hash."""
    uri = serving.upload({"score.py": "x = 1"})
    assert uri != serving.upload({"score.py": "x = 2"})
    properties = {"codeUri": uri, "isAnonymous": True, "properties": {"hash_sha256": "abc", "hash_version": 202208}}
    created = emulator.arm("PUT", "/codes/first/versions/1", json={"properties": properties})
    assert (created.status_code, created.json()["properties"]["codeUri"]) == (201, uri)
    found = emulator.arm("GET", "/codes/other/versions", params={"hash": "abc", "hashVersion": "202208"}).json()
    assert [code["id"] for code in found["value"]] == [created.json()["id"]]
    assert emulator.arm("GET", "/codes/other/versions", params={"hash": "no"}).json()["value"] == []
    assert emulator.arm("GET", "/codes/first/versions/1").json()["properties"]["isAnonymous"] is True


def test_versions_do_not_change_what_they_are(emulator):
    """The same version with the same content is 201 again, with another content 409."""
    path, body = "/environments/fixed/versions/1", {"properties": {"image": "a", "condaFile": CONDA}}
    for _ in range(2):
        answer = emulator.arm("PUT", path, json=body)
        assert answer.status_code == 201
        assert answer.headers["Location"].startswith(f"{emulator.url}{answer.json()['id']}?")
    other = emulator.arm("PUT", path, json={"properties": {"image": "b", "condaFile": CONDA}})
    assert other.status_code == 409
    assert "new version" in other.json()["error"]["message"]


def test_environments_list_their_versions_newest_first(emulator):
    """The container knows the latest and the next version; archived versions are listed only when asked for."""
    for version in ("1", "2", "10"):
        body = {"properties": {"image": f"image:{version}", "tags": {"v": version}}}
        assert emulator.arm("PUT", f"/environments/many/versions/{version}", json=body).status_code == 201
    container = emulator.arm("GET", "/environments/MANY").json()
    assert (container["properties"]["latestVersion"], container["properties"]["nextVersion"]) == ("10", "11")
    newest = emulator.arm("GET", "/environments/many/versions", params={"$orderBy": "createdtime desc", "$top": 1})
    assert [one["name"] for one in newest.json()["value"]] == ["10"]
    archive = {"properties": {"image": "image:2", "isArchived": True}}
    assert emulator.arm("PUT", "/environments/many/versions/2", json=archive).status_code == 201
    listed = emulator.arm("GET", "/environments/many/versions").json()["value"]
    assert [one["name"] for one in listed] == ["10", "1"]
    everything = emulator.arm("GET", "/environments/many/versions", params={"listViewType": "All"}).json()["value"]
    assert len(everything) == 3
    assert "many" in [one["name"] for one in emulator.arm("GET", "/environments").json()["value"]]


@pytest.mark.parametrize("path", ["/environments", "/environments/e/versions", "/models", "/models/m/versions"])
def test_a_view_that_does_not_exist_is_refused(emulator, path):
    """`listViewType` has three values, in any case; a typing error does not show everything."""
    for view in ("ActiveOnly", "archivedonly", "ALL"):
        assert emulator.arm("GET", path, params={"listViewType": view}).status_code == 200
    answer = emulator.arm("GET", path, params={"listViewType": "Archived"})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "listViewType")
    assert "ActiveOnly, ArchivedOnly, All" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("collection", "properties"),
    [("environments", {"image": "python"}), ("codes", {"codeUri": "azureml://datastores/workspaceblobstore/paths/x"})],
)
def test_assets_are_deleted_by_version_and_by_name(emulator, collection, properties):
    """A version goes alone, a name with all its versions; what is not there is 204."""
    name = f"/{collection}/gone"
    for version in ("1", "2", "3"):
        body = {"properties": properties}
        assert emulator.arm("PUT", f"{name}/versions/{version}", json=body).status_code == 201
    assert [emulator.arm("DELETE", f"{name}/versions/2").status_code for _ in range(2)] == [200, 204]
    assert emulator.arm("GET", f"{name}/versions/2").status_code == 404
    assert "gone" in [one["name"] for one in emulator.arm("GET", f"/{collection}").json()["value"]]
    assert [emulator.arm("DELETE", name).status_code for _ in range(2)] == [200, 204]
    assert emulator.arm("GET", name).status_code == 404
    assert "gone" not in [one["name"] for one in emulator.arm("GET", f"/{collection}").json()["value"]]


def test_archived_environments_are_listed_as_asked(emulator):
    """An environment whose versions are all archived is in the list of archived ones only."""
    emulator.arm("PUT", "/environments/old/versions/1", json={"properties": {"image": "x", "isArchived": True}})

    def listed(view):
        return "old" in [
            one["name"] for one in emulator.arm("GET", "/environments", params={"listViewType": view}).json()["value"]
        ]

    assert [listed(view) for view in ("ActiveOnly", "ArchivedOnly", "All")] == [False, True, True]


def test_what_a_deployment_is_made_of_is_not_deleted(serving):
    """Environment, code and model of a deployment are refused by naming it, version by version and as a whole."""
    serving.endpoint("keeps")
    serving.deploy("keeps", "blue", "def init(): pass\ndef run(data): return 1")
    spec = serving.emulator.arm("GET", "/onlineEndpoints/keeps/deployments/blue").json()["properties"]
    for asset in (spec["environmentId"], spec["codeConfiguration"]["codeId"]):
        for path in (asset, asset.rpartition("/versions/")[0]):
            answer = serving.emulator.call("DELETE", path, params={"api-version": "2023-10-01"})
            assert (answer.status_code, "keeps/blue" in answer.json()["error"]["message"]) == (409, True)
        assert serving.emulator.call("GET", asset, params={"api-version": "2023-10-01"}).ok


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/environments/e/versions/1", {"properties": {"imag": "x"}}, 400, "imag"),
        ("/environments/e/versions/1", {"properties": {"image": "x", "condaFile": "a: ["}}, 400, "YAML"),
        ("/environments/e/versions/1", {"properties": {"image": "x", "condaFile": 5}}, 400, "condaFile"),
        ("/environments/e/versions/1", {"properties": {}}, 400, "image"),
        ("/environments/e/versions/1", {"properties": 5}, 400, "properties"),
        ("/environments/e/versions/1", {"tags": {}}, 400, "tags"),
        ("/environments/e/versions/1", {"properties": {"image": "x", "tags": []}}, 400, "tags"),
        ("/environments/-/versions/1", {"properties": {"image": "x"}}, 400, "name"),
        ("/codes/c/versions/1", {"properties": {}}, 400, "codeUri"),
        ("/codes/c/versions/1", {"properties": {"codeUri": "https://elsewhere/c/d"}}, 400, "elsewhere"),
        ("/codes/c/versions/1", {"properties": {"codeUri": "http://["}}, 400, "URI"),
    ],
)
def test_refuses_what_it_cannot_use(emulator, path, body, status, words):
    """Unknown members, malformed content and foreign addresses are refused with a reason."""
    answer = emulator.arm("PUT", path, json=body)
    assert answer.status_code == status
    assert words in answer.text
    assert emulator.arm("GET", path).status_code == 404


def test_datastores_hand_out_the_account_key(emulator):
    """The two blob datastores are there; their secrets are the storage account's key."""
    stores = emulator.arm("GET", "/datastores").json()["value"]
    assert {one["name"] for one in stores} == {"workspaceblobstore", "workspaceartifactstore"}
    default = emulator.arm("GET", "/datastores", params={"isDefault": "true"}).json()["value"]
    assert [one["name"] for one in default] == ["workspaceblobstore"]
    assert emulator.arm("GET", "/datastores/workspaceBlobStore").json()["properties"]["datastoreType"] == "AzureBlob"
    secrets = emulator.arm("POST", "/datastores/workspaceartifactstore/listSecrets").json()
    assert secrets["secretsType"] == "AccountKey"
    assert secrets["key"]
    assert emulator.arm("GET", "/datastores/none").status_code == 404
