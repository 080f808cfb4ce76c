"""Code assets: uploaded once, in the order of calls that the contract has."""

from __future__ import annotations

import pytest
from client_support import ARM, requests_mock_any


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
