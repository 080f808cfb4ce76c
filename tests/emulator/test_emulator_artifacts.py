"""The artifact service: what is written through one of its spellings is read through all of them."""

from __future__ import annotations

import concurrent.futures

import pytest
import requests

from airflow_azml.emulator.kernel import facts

ROOT = f"/artifact/v2.0{facts.WORKSPACE_PATH}/artifacts"


def _upload(emulator, container, files):
    """Upload as azureml-core does: ask for URLs to write to, then put the blobs there."""
    body = {"paths": [{"path": path} for path in files]}
    answer = emulator.call("POST", f"{ROOT}/batch/metadata/LocalUpload/{container}", json=body).json()
    for path, content in files.items():
        url = answer["artifactContentInformation"][path]["contentUri"]
        put = requests.put(url, data=content, headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
        assert put.status_code == 201
    return answer


def test_uploaded_bytes_come_back_through_every_spelling(emulator):
    """Both URL styles lead to the same bytes, by signature and through the service."""
    _upload(emulator, "spellings", {"folder/a b.bin": b"\x00\x01\xff"})
    spec = f"{ROOT}/LocalUpload/spellings"
    for path, params in [
        (f"{spec}/contentinfo", {"path": "folder/a b.bin"}),
        (f"{ROOT}/contentinfo/LocalUpload/spellings/folder/a b.bin", {}),
    ]:
        information = emulator.call("GET", path, params=params).json()
        assert (information["origin"], information["container"]) == ("LocalUpload", "spellings")
        assert information["path"] == "folder/a b.bin"
        assert requests.get(information["contentUri"], timeout=10).content == b"\x00\x01\xff"
    for path, params in [
        (f"{spec}/content", {"path": "folder/a b.bin"}),
        (f"{ROOT}/content/LocalUpload/spellings/folder/a b.bin", {}),
    ]:
        assert emulator.call("GET", path, params=params).content == b"\x00\x01\xff"


def test_metadata_names_the_artifact_and_its_datastore(emulator):
    """An artifact says its id, when it was written and where in the datastore it is."""
    _upload(emulator, "meta", {"m.txt": b"x"})
    artifact = emulator.call("GET", f"{ROOT}/LocalUpload/meta/metadata", params={"path": "m.txt"}).json()
    assert artifact["artifactId"] == "LocalUpload/meta/m.txt"
    assert artifact["etag"]
    assert artifact["createdTime"]
    where = {"dataStoreName": "workspaceartifactstore", "relativePath": "LocalUpload/meta/m.txt"}
    assert artifact["dataPath"] == where
    assert artifact == emulator.call("GET", f"{ROOT}/metadata/localupload/meta/m.txt").json()


def test_a_prefix_is_a_file_or_a_folder_never_a_part_of_a_name(emulator):
    """A model path that is only the beginning of a name finds nothing, so nobody registers an empty model."""
    _upload(emulator, "prefix", {"model/a": b"1", "model/sub/b": b"2", "model2/c": b"3"})
    url = f"{ROOT}/prefix/contentinfo/LocalUpload/prefix"

    def paths(prefix):
        return [found["path"] for found in emulator.call("GET", f"{url}/{prefix}").json()["value"]]

    assert paths("model") == ["model/a", "model/sub/b"]
    assert paths("model/sub/b") == ["model/sub/b"]
    assert paths("mod") == []
    assert paths("") == ["model/a", "model/sub/b", "model2/c"]


def test_long_lists_come_in_pages_that_lose_and_repeat_nothing(emulator):
    """The continuation token and the next link both lead through all artifacts."""
    files = {f"f{number:04}": b"" for number in range(501)}
    _upload(emulator, "pages", files)
    first = emulator.call("GET", f"{ROOT}/LocalUpload/pages").json()
    by_link = emulator.call("GET", first["nextLink"]).json()
    token = {"continuationToken": first["continuationToken"]}
    by_token = emulator.call("GET", f"{ROOT}/LocalUpload/pages", params=token).json()
    assert by_link == by_token
    assert "nextLink" not in by_link
    assert [one["path"] for one in first["value"] + by_link["value"]] == sorted(files)


def test_an_artifact_that_exists_is_not_handed_out_for_writing_again(emulator):
    """Creating is refused by name for what exists, and works for the rest of the batch."""
    _upload(emulator, "twice", {"old": b"1"})
    body = {"paths": [{"path": "old"}, {"path": "new"}]}
    answer = emulator.call("POST", f"{ROOT}/LocalUpload/twice/batch/metadata", json=body).json()
    assert list(answer["artifactContentInformation"]) == ["new"]
    assert "already exists" in answer["errors"]["old"]["error"]["message"]


def test_a_batch_of_ids_tells_what_is_missing(emulator):
    """Asking for many by id answers those that exist and names the others."""
    _upload(emulator, "byid", {"here": b"1"})
    ids = ["LocalUpload/byid/here", "LocalUpload/byid/gone"]
    answer = emulator.call("POST", f"{ROOT}/batch/metadata", json={"artifactIds": ids}).json()
    assert list(answer["artifacts"]) == ids[:1]
    assert list(answer["errors"]) == ids[1:]
    assert requests.get(answer["artifactContentInformation"][ids[0]]["contentUri"], timeout=10).content == b"1"


def test_upload_through_the_service_overwrites_and_appends_only_when_asked(emulator):
    """The service's own upload refuses an existing artifact, overwrites or appends on demand."""
    url = f"{ROOT}/LocalUpload/direct/content"

    def post(data, **params):
        return emulator.call("POST", url, params={"path": "log", **params}, data=data)

    assert post(b"one").json()["artifactId"] == "LocalUpload/direct/log"
    assert post(b"two").status_code == 409
    assert post(b" more", append="true").status_code == 200
    assert emulator.call("GET", url, params={"path": "log"}).content == b"one more"
    assert post(b"new", allowOverwrite="true").status_code == 200
    assert emulator.call("GET", url, params={"path": "log"}).content == b"new"


def test_of_parallel_appends_no_line_is_lost(emulator):
    """A hundred at the same time append a line each, in place; of as many that must not overwrite, one writes."""
    url, lines = f"{ROOT}/LocalUpload/appended/content", [b"line %d\n" % number for number in range(100)]

    def post(line, **params):
        return emulator.call("POST", url, params={"path": "log", **params}, data=line).status_code

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(post, lines)) == [200] + [409] * 99
        assert set(pool.map(lambda line: post(line, append="true"), lines)) == {200}
    content = emulator.call("GET", url, params={"path": "log"}).content.splitlines(keepends=True)
    assert sorted(content[1:]) == sorted(lines)


def test_a_deleted_artifact_is_gone(emulator):
    """Deleting an artifact's metadata takes it out of every list."""
    _upload(emulator, "delete", {"a": b"1"})
    assert emulator.call("DELETE", f"{ROOT}/LocalUpload/delete/metadata", params={"path": "a"}).status_code == 200
    assert emulator.call("GET", f"{ROOT}/LocalUpload/delete").json() == {"value": []}
    assert emulator.call("DELETE", f"{ROOT}/LocalUpload/delete/metadata", params={"path": "a"}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/LocalUpload/none/contentinfo?path=absent", 404),
        ("GET", "/contentinfo/LocalUpload/none/absent", 404),
        ("GET", "/Elsewhere/none/contentinfo?path=absent", 400),
        ("GET", "/LocalUpload/none/contentinfo", 400),
        ("GET", "/LocalUpload/none/write?path=../../etc/passwd", 400),
        ("POST", "/LocalUpload/none/batch/metadata", 400),
    ],
)
def test_what_is_not_there_or_no_address_is_refused(emulator, method, path, status):
    """Absent artifacts answer 404, addresses that are none 400; nothing answers 500."""
    assert emulator.call(method, ROOT + path).status_code == status


def test_a_run_shows_its_artifacts_below_itself(emulator):
    """The mirror below a run answers the same artifacts, and 404 for a run that does not exist."""
    history = f"/history/v1.0{facts.WORKSPACE_PATH}/experiments/mirrored/runs/mirror_1"
    assert emulator.call("PATCH", history, json={"runId": "mirror_1"}).status_code == 200
    run = emulator.call("GET", history).json()
    body = {"paths": [{"path": "outputs/m.txt"}]}
    answer = emulator.call("POST", f"{history}/artifacts/batch/metadata", json=body).json()
    url = answer["artifactContentInformation"]["outputs/m.txt"]["contentUri"]
    requests.put(url, data=b"model", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)

    listed = emulator.call("GET", f"{history}/artifacts/path", params={"path": "outputs"}).json()["value"]
    direct = emulator.call("GET", f"{ROOT}/ExperimentRun/{run['dataContainerId']}").json()["value"]
    assert listed == direct
    uri = emulator.call("GET", f"{history}/artifacts/artifacturi", params={"path": "outputs/m.txt"}).json()
    assert requests.get(uri, timeout=10).content == b"model"
    absent = history.replace("mirror_1", "absent")
    assert emulator.call("GET", f"{absent}/artifacts").status_code == 404
