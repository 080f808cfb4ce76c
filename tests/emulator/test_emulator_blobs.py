"""The storage account: what clients put they get, and only with a right that was given to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from email.utils import formatdate

import pytest
import requests

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import Store
from airflow_azml.emulator.storage.blob_access import signed_url
from airflow_azml.emulator.storage.blobs import BlobStore

ROOT = f"/_blob/{facts.STORAGE_ACCOUNT}"
CONTAINER = f"{ROOT}/{facts.BLOBSTORE_CONTAINER}"


@pytest.fixture
def blobs(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    yield BlobStore(tmp_path / "blobs", store)
    store.close()


@pytest.mark.parametrize("name", ["../secret", "a/../../b", "a//b", "./a", "a\0b", "x" * 300, "/etc/passwd"])
def test_a_name_that_leaves_the_container_is_refused(blobs, name):
    """No name reaches a file outside its container."""
    with pytest.raises(Fault) as refused:
        blobs.path("azureml", name)
    assert refused.value.status == 400


@pytest.mark.parametrize("container", ["..", ".uploads", "a", "UPPER", "a--b", "a/b"])
def test_a_container_that_is_no_container_is_refused(blobs, container):
    """Container names follow the service's rule."""
    with pytest.raises(Fault):
        blobs.path(container)


def test_put_get_head_and_delete(emulator):
    """A blob comes back byte by byte with its type and metadata, and is gone after its deletion."""
    url = f"{CONTAINER}/folder/a%20file.txt"
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "text/x-test", "x-ms-meta-colour": "red"}
    put = emulator.call("PUT", url, data=b"hello", headers=headers)
    got = emulator.call("GET", url)
    head = emulator.call("HEAD", url)
    assert (put.status_code, got.status_code, got.content) == (201, 200, b"hello")
    assert got.headers["Content-Type"] == "text/x-test"
    assert (head.headers["Content-Length"], head.headers["x-ms-meta-colour"]) == ("5", "red")
    assert (
        head.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    )
    assert emulator.call("DELETE", url).status_code == 202
    gone = emulator.call("GET", url)
    assert (gone.status_code, gone.headers["x-ms-error-code"]) == (404, "BlobNotFound")
    assert "<Code>BlobNotFound</Code>" in gone.text


def test_ranges(emulator):
    """Range and x-ms-range give the asked bytes; a range beyond the end answers 416."""
    url = f"{CONTAINER}/ranges.bin"
    emulator.call("PUT", url, data=b"0123456789")
    middle = emulator.call("GET", url, headers={"Range": "bytes=2-4"})
    rest = emulator.call("GET", url, headers={"x-ms-range": "bytes=7-100"})
    beyond = emulator.call("GET", url, headers={"Range": "bytes=10-"})
    whole = emulator.call("GET", url, headers={"x-ms-range": "bytes=0-33554431"})  # as Microsoft's clients ask first
    assert (middle.status_code, middle.content, middle.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert (rest.content, rest.headers["Content-Range"]) == (b"789", "bytes 7-9/10")
    assert (whole.status_code, whole.headers["Content-Range"]) == (206, "bytes 0-9/10")
    assert (beyond.status_code, beyond.headers["x-ms-error-code"]) == (416, "InvalidRange")


def test_blocks_make_a_blob_in_the_order_of_the_list(emulator):
    """Put Block and Put Block List assemble the blob; an unknown block is refused."""
    url = f"{CONTAINER}/blocks.bin"
    for number, content in ((1, b"one"), (2, b"two")):
        query = {"comp": "block", "blockid": base64.b64encode(b"%d" % number).decode()}
        assert emulator.call("PUT", url, params=query, data=content).status_code == 201
    entries = "".join(f"<Latest>{base64.b64encode(b'%d' % number).decode()}</Latest>" for number in (2, 1))
    body = f"<?xml version='1.0'?><BlockList>{entries}</BlockList>"
    assert emulator.call("GET", url).status_code == 404
    assert emulator.call("PUT", url, params={"comp": "blocklist"}, data=body).status_code == 201
    assert emulator.call("GET", url).content == b"twoone"
    assert emulator.call("PUT", url, params={"comp": "blocklist"}, data=body).status_code == 400


def test_if_none_match_protects_an_existing_blob(emulator):
    """An upload that must not overwrite answers 409 and leaves the content."""
    url = f"{CONTAINER}/kept.txt"
    emulator.call("PUT", url, data=b"first")
    again = emulator.call("PUT", url, data=b"second", headers={"If-None-Match": "*"})
    assert (again.status_code, again.headers["x-ms-error-code"]) == (409, "BlobAlreadyExists")
    assert emulator.call("GET", url).content == b"first"


def test_metadata_is_replaced(emulator):
    """Set Blob Metadata is read back by Get Blob Metadata."""
    url = f"{CONTAINER}/meta.txt"
    emulator.call("PUT", url, data=b"x", headers={"x-ms-meta-old": "1"})
    emulator.call("PUT", url, params={"comp": "metadata"}, headers={"x-ms-meta-upload_status": "completed"})
    headers = emulator.call("GET", url, params={"comp": "metadata"}).headers
    assert headers["x-ms-meta-upload_status"] == "completed"
    assert "x-ms-meta-old" not in headers


def test_list_is_paged_by_prefix(emulator):
    """The list holds every blob below the prefix once, over pages."""
    for name in ("list/a", "list/b/c", "list/d", "lost"):
        emulator.call("PUT", f"{CONTAINER}/{name}", data=b"x")
    query = {"restype": "container", "comp": "list", "prefix": "list/", "maxresults": "2"}
    first = emulator.call("GET", CONTAINER, params=query).text
    marker = first.split("<NextMarker>")[1].split("</NextMarker>")[0]
    second = emulator.call("GET", CONTAINER, params={**query, "marker": marker}).text
    assert [first.count(f"<Name>{name}</Name>") for name in ("list/a", "list/b/c", "list/d", "lost")] == [1, 1, 0, 0]
    assert "<Name>list/d</Name>" in second
    assert "<NextMarker />" in second


def test_list_by_folders(emulator):
    """With a delimiter, what lies below a folder is one prefix; pages may end between prefixes and blobs."""
    for name in ("tree/a/1", "tree/a/2", "tree/b", "tree/c/d/3"):
        emulator.call("PUT", f"{CONTAINER}/{name}", data=b"x")
    query = {"restype": "container", "comp": "list", "prefix": "tree/", "delimiter": "/", "maxresults": "2"}
    first = emulator.call("GET", CONTAINER, params=query).text
    marker = first.split("<NextMarker>")[1].split("</NextMarker>")[0]
    second = emulator.call("GET", CONTAINER, params={**query, "marker": marker}).text
    assert first.count("<BlobPrefix><Name>tree/a/</Name></BlobPrefix>") == 1
    assert "<Blob><Name>tree/b</Name>" in first
    assert "<BlobPrefix><Name>tree/c/</Name></BlobPrefix>" in second
    assert "<NextMarker />" in second


def test_nothing_has_a_name_that_ends_in_a_slash(emulator):
    """Clients ask whether `folder/` is a blob to tell folders from files: it is none, and that is no bad request."""
    emulator.call("PUT", f"{CONTAINER}/some/file", data=b"x")
    for host in ({}, {"Host": "azuremllocal.blob.core.windows.net"}):
        path = f"/{facts.BLOBSTORE_CONTAINER}/some/" if host else f"{CONTAINER}/some/"
        assert emulator.call("HEAD", path, headers=host).status_code == 404


def test_containers_are_created_once(emulator):
    """Create Container answers 201, then 409; a blob of no container answers 404."""
    query = {"restype": "container"}
    assert emulator.call("PUT", f"{ROOT}/fresh-one/x", data=b"x").headers["x-ms-error-code"] == "ContainerNotFound"
    assert emulator.call("PUT", f"{ROOT}/fresh-one", params=query).status_code == 201
    assert emulator.call("PUT", f"{ROOT}/fresh-one", params=query).status_code == 409
    assert emulator.call("DELETE", f"{ROOT}/fresh-one", params=query).status_code == 202
    assert emulator.call("GET", f"{ROOT}/fresh-one", params=query).status_code == 404


def test_a_sas_opens_what_it_was_given_for_and_nothing_else(emulator):
    """A blob SAS reads its blob without a token; not another blob, not for writing, not with another signature."""
    emulator.call("PUT", f"{CONTAINER}/open.txt", data=b"open")
    emulator.call("PUT", f"{CONTAINER}/closed.txt", data=b"closed")
    url = signed_url(emulator.url, facts.BLOBSTORE_CONTAINER, "open.txt", "r", 1)
    assert requests.get(url, timeout=10).content == b"open"
    assert requests.get(url.replace("open.txt", "closed.txt"), timeout=10).status_code == 403
    assert requests.put(url, data=b"x", timeout=10).headers["x-ms-error-code"] == "AuthorizationPermissionMismatch"
    assert requests.get(url.replace("sig=", "sig=A"), timeout=10).headers["x-ms-error-code"] == "AuthenticationFailed"
    assert requests.get(url.split("?")[0], timeout=10).status_code == 401
    expired = signed_url(emulator.url, facts.BLOBSTORE_CONTAINER, "open.txt", "r", -1)
    assert requests.get(expired, timeout=10).status_code == 403


def test_a_container_sas_lists_and_writes(emulator):
    """A container SAS with the right permissions uploads, lists and reads below the container, by host name too."""
    sas = signed_url(emulator.url, facts.BLOBSTORE_CONTAINER, "", "rcwl", 1).split("?")[1]
    host = {"Host": f"{facts.STORAGE_ACCOUNT}.blob.core.windows.net"}
    root = f"{emulator.url}/{facts.BLOBSTORE_CONTAINER}"
    assert requests.put(f"{root}/by/host.txt?{sas}", data=b"host", headers=host, timeout=10).status_code == 201
    listing = requests.get(f"{root}?restype=container&comp=list&prefix=by/&{sas}", headers=host, timeout=10)
    assert "<Name>by/host.txt</Name>" in listing.text
    assert emulator.call("GET", f"{CONTAINER}/by/host.txt").content == b"host"


def test_shared_key_is_verified(emulator):
    """A request signed with the account's key is accepted, one signed with another key refused."""
    emulator.call("PUT", f"{CONTAINER}/keyed.txt", data=b"keyed")
    host = f"{facts.STORAGE_ACCOUNT}.blob.core.windows.net"
    path = f"/{facts.BLOBSTORE_CONTAINER}/keyed.txt"
    date = formatdate(time.time(), usegmt=True)
    text = "GET" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-08-06\n/{facts.STORAGE_ACCOUNT}{path}"

    def get(key: bytes) -> requests.Response:
        signature = base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
        headers = {"Host": host, "x-ms-date": date, "x-ms-version": "2021-08-06"}
        headers["Authorization"] = f"SharedKey {facts.STORAGE_ACCOUNT}:{signature}"
        return requests.get(emulator.url + path, headers=headers, timeout=10)

    assert get(base64.b64decode(facts.STORAGE_KEY)).content == b"keyed"
    assert get(b"another").status_code == 403


def test_blobs_survive_a_kill(fresh_emulator):
    """Content and metadata are there after the emulator was killed and started again."""
    url = f"{CONTAINER}/kept/after.txt"
    fresh_emulator.call("PUT", url, data=b"kept", headers={"x-ms-meta-a": "b"})
    fresh_emulator.kill()
    fresh_emulator.start()
    answer = fresh_emulator.call("GET", url)
    assert (answer.content, answer.headers["x-ms-meta-a"]) == (b"kept", "b")
