"""Snapshots: uploaded file by file, described as a tree, run and downloaded; only what is new is uploaded again."""

from __future__ import annotations

import io
import uuid
import zipfile

import pytest
import requests
from runs_support import EXECUTION, WORKSPACE, Client

OLDER, CONTENT = f"/content/v1.0{WORKSPACE}/snapshots", f"/content/v2.0{WORKSPACE}/snapshots"


@pytest.fixture(scope="module")
def client(emulator):
    client = Client(emulator)
    client.ensure_compute(nodes=2)
    return client


def tree(*paths):
    """The tree as azureml-core sends it; hashes are its own business."""
    root = {"name": "", "type": "Directory", "hash": "r", "timestamp": "2026-01-01T00:00:00", "children": {}}
    for path in paths:
        *folders, name = path.split("/")
        node = root
        for folder in folders:
            new = {"name": folder, "type": "Directory", "hash": "d", "timestamp": "2026-01-01T00:00:00", "children": {}}
            node = node["children"].setdefault(folder, new)
        node["children"][name] = {"name": name, "type": "File", "hash": "f", "timestamp": "", "children": {}}
    return root


def upload(client, files):
    answer = client.emulator.call("POST", f"{CONTENT}/getblob", json={"FileNames": list(files)})
    assert answer.status_code == 200, answer.text
    nodes = answer.json()["fileNodes"]
    for node in nodes:
        headers = {"x-ms-blob-type": "BlockBlob"}
        sent = requests.put(node["blobUri"], data=files[node["fullName"]].encode(), headers=headers, timeout=10)
        assert sent.status_code == 201, sent.text
    return [{"FullName": node["fullName"], "BlobUri": node["blobUri"], "FileSize": 1} for node in nodes]


def create(client, paths, nodes, parent=None, snapshot_id=None):
    body = {
        "ParentSnapshotId": parent,
        "Tags": None,
        "Properties": {"azureml.git.branch": "main"},
        "DirTreeNode": tree(*paths),
        "FileRevisionList": {"FileNodes": nodes},
    }
    return client.emulator.call("POST", f"{CONTENT}/{snapshot_id or uuid.uuid4()}", json=body)


def snapshot(client, files, **members):
    answer = create(client, files, upload(client, files), **members)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def content(client, snapshot_id):
    answer = client.emulator.call("POST", f"{CONTENT}/{snapshot_id}/zip")
    assert answer.status_code == 200, answer.text
    data = requests.get(answer.json()["zipSasUri"], timeout=10).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def start(client, snapshot_id, run_id):
    configuration = {"script": "main.py", "target": "cpu", "environment": {"python": {"userManagedDependencies": True}}}
    path = f"{EXECUTION}/experiments/exp/snapshotrun"
    body = {"Configuration": configuration, "SnapshotId": snapshot_id}
    return client.emulator.call("POST", path, params={"runId": run_id}, json=body)


def test_before_the_first_there_is_an_empty_one(fresh_emulator):
    """A client of a new workspace compares its folder with an empty tree."""
    latest = fresh_emulator.call("GET", f"{OLDER}/latest/metadata").json()
    assert uuid.UUID(latest["id"])
    assert latest["root"]["children"] == {}
    assert set(latest["root"]) == {"name", "type", "hash", "timestamp", "children"}


def test_a_run_starts_from_a_snapshot(client):
    """The run has the snapshot's whole tree and names the snapshot among its properties."""
    files = {"main.py": "import package.word; print('said', package.word.TEXT)", "package/word.py": "TEXT = 'hello'"}
    snapshot_id = snapshot(client, files)
    assert start(client, snapshot_id, "snapshot_run_1").json() == {"runId": "snapshot_run_1"}
    run = client.wait("snapshot_run_1")
    assert (run["status"], run["properties"]["ContentSnapshotId"]) == ("Completed", snapshot_id)
    assert client.log("snapshot_run_1") == "said hello\n"


def test_a_snapshot_comes_back_as_a_zip(client):
    """The zip has the same files with the same bytes."""
    files = {"main.py": "1", "sub/deep/data.txt": "two", "empty.txt": ""}
    assert content(client, snapshot(client, files)) == files


def test_a_child_takes_what_did_not_change_from_its_parent(client):
    """Files that were not uploaded are the parent's; those that the tree does not have any more are gone."""
    parent = snapshot(client, {"keep.txt": "kept", "change.txt": "old", "drop.txt": "dropped"})
    nodes = upload(client, {"change.txt": "new"})
    child = create(client, ["keep.txt", "change.txt"], nodes, parent=parent).json()
    assert child["parentSnapshotId"] == parent
    assert content(client, child["id"]) == {"keep.txt": "kept", "change.txt": "new"}
    latest = client.emulator.call("GET", f"{OLDER}/latest/metadata").json()
    assert (latest["id"], sorted(latest["root"]["children"])) == (child["id"], ["change.txt", "keep.txt"])


def test_the_same_snapshot_can_be_sent_twice(client):
    """A client whose answer was lost sends it again and gets the same."""
    snapshot_id, nodes = str(uuid.uuid4()), upload(client, {"main.py": "1"})
    answers = [create(client, ["main.py"], nodes, snapshot_id=snapshot_id).json() for _ in range(2)]
    assert answers[0] == answers[1]


def test_what_cannot_be_a_snapshot_is_refused(client):
    """Files that nobody uploaded, ids that are none, names that lead out of the folder: 400, and nothing is kept."""
    nodes = client.emulator.call("POST", f"{CONTENT}/getblob", json={"fileNames": ["a.txt"]}).json()["fileNodes"]
    missing = [{"FullName": "a.txt", "BlobUri": nodes[0]["blobUri"]}]
    snapshot_id = str(uuid.uuid4())
    refused = [
        create(client, ["a.txt"], missing, snapshot_id=snapshot_id),
        create(client, ["a.txt"], []),
        create(client, ["a.txt"], [{"FullName": "a.txt", "BlobUri": "https://elsewhere.example/a.txt"}]),
        create(client, [], [], snapshot_id="not-a-uuid"),
        create(client, ["..", "a.txt"], upload(client, {"a.txt": ""})),
        client.emulator.call("POST", f"{CONTENT}/getblob", json={"fileNames": ["../a.txt"]}),
    ]
    assert [answer.status_code for answer in refused] == [400] * len(refused)
    assert client.emulator.call("GET", f"{CONTENT}/{snapshot_id}/metadata").status_code == 404


def test_a_run_of_no_snapshot_is_refused(client):
    """An unknown snapshot is a 404, none at all a 400; no run is made."""
    assert start(client, str(uuid.uuid4()), "snapshot_run_2").status_code == 404
    assert start(client, None, "snapshot_run_2").status_code == 400
    assert client.emulator.call("GET", f"/history/v1.0{WORKSPACE}/runs/snapshot_run_2").status_code == 404


def test_snapshots_of_git_repositories_are_not_offered(client):
    """Named, not silently ignored."""
    answer = client.emulator.call("POST", f"{CONTENT}/uri/{uuid.uuid4()}", json={"uri": "https://git.example/a"})
    assert answer.status_code == 501
