"""Snapshots: folders that are uploaded once, from which runs start."""

from __future__ import annotations

import hashlib

import pytest
from client_support import regional

from airflow_azml.client.transport import errors

HISTORY = regional("history/v1.0")


EXECUTION = regional("execution/v1.0")


CONTENT = regional("content/v2.0")


def test_a_snapshot_run(client, requests_mock, tmp_path):
    """A place per file, the files, the tree; then a run of it with our id."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.py").write_text("x = 1")
    (tmp_path / "train.py").write_text("print(1)")
    (tmp_path / ".amlignore").write_text("secret*")
    (tmp_path / "secret.txt").write_text("no")
    blob = "https://sa.blob.core.windows.net/c"
    names = [".amlignore", "src/lib.py", "train.py"]
    nodes = [{"fullName": name, "blobUri": f"{blob}/{name}?sig=s1"} for name in names]
    requests_mock.post(f"{CONTENT}/snapshots/getblob", json={"fileNodes": nodes})
    stored = {}

    def keep(request, context):
        context.status_code = 201
        stored[request.path] = b"".join(request.body)
        return ""

    for name in names:
        requests_mock.put(f"{blob}/{name}", text=keep)
    created = requests_mock.post(requests_mock_any(f"{CONTENT}/snapshots/"), json={})
    requests_mock.post(f"{CONTENT}/snapshots/getblob", json={"fileNodes": nodes})
    snapshot = client.snapshots.upload(tmp_path, entry_script="train.py")
    assert stored["/c/src/lib.py"] == b"x = 1"
    body = created.last_request.json()
    assert created.last_request.path.endswith(snapshot)
    assert [node["FullName"] for node in body["FileRevisionList"]["FileNodes"]] == names
    root = body["DirTreeNode"]
    assert list(root["children"]) == [".amlignore", "src", "train.py"]
    leaf = root["children"]["src"]["children"]["lib.py"]
    assert leaf["hash"] == hashlib.sha512(b"x = 1lib.pyFile").hexdigest()
    assert root["children"]["src"]["hash"] == hashlib.sha512(bytes.fromhex(leaf["hash"])).hexdigest()

    requests_mock.get(f"{HISTORY}/experiments/exp", json={"name": "exp"})
    requests_mock.post(f"{EXECUTION}/experiments/exp/snapshotrun", json={"runId": "r1"})
    definition = {"configuration": {"script": "train.py"}}
    assert str(client.runs.start_snapshot("exp", snapshot, definition, "r1")) == "run r1"
    assert requests_mock.last_request.qs == {"runid": ["r1"]}
    assert requests_mock.last_request.json() == {**definition, "snapshotId": snapshot}


def requests_mock_any(prefix):
    import re  # noqa: PLC0415 - one use

    return re.compile(re.escape(prefix), re.IGNORECASE)


def test_a_snapshot_without_a_place_for_a_file(client, requests_mock, tmp_path):
    """Nothing is uploaded by halves."""
    (tmp_path / "train.py").write_text("print(1)")
    requests_mock.post(f"{CONTENT}/snapshots/getblob", json={"fileNodes": []})
    with pytest.raises(errors.ServiceError, match=r"no place was given for train\.py"):
        client.snapshots.upload(tmp_path)
