"""The storage account: what clients put they get, and only with a right that was given to them."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import hmac
import re
import time
from email.utils import formatdate
from urllib.parse import unquote

import pytest
import requests

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import Store
from airflow_azml.emulator.storage.blob_access import signed_url
from airflow_azml.emulator.storage.blobs import BlobStore

ROOT = f"/_blob/{facts.STORAGE_ACCOUNT}"
CONTAINER = f"{ROOT}/{facts.BLOBSTORE_CONTAINER}"


def put(emulator, url, data, **headers):
    return emulator.call("PUT", url, data=data, headers={"x-ms-blob-type": "BlockBlob", **headers})


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
    assert refused.value.status in {400, 501}


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
    put(emulator, url, data=b"0123456789")
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
    assert emulator.call("PUT", url, params={"comp": "blocklist"}, data=body.replace("MQ==", "Mw==")).status_code == 400


def test_if_none_match_protects_an_existing_blob(emulator):
    """An upload that must not overwrite answers 409 and leaves the content."""
    url = f"{CONTAINER}/kept.txt"
    put(emulator, url, data=b"first")
    again = put(emulator, url, data=b"second", **{"If-None-Match": "*"})
    assert (again.status_code, again.headers["x-ms-error-code"]) == (409, "BlobAlreadyExists")
    assert emulator.call("GET", url).content == b"first"


def test_metadata_is_replaced(emulator):
    """Set Blob Metadata is read back by Get Blob Metadata."""
    url = f"{CONTAINER}/meta.txt"
    put(emulator, url, data=b"x", **{"x-ms-meta-old": "1"})
    emulator.call("PUT", url, params={"comp": "metadata"}, headers={"x-ms-meta-upload_status": "completed"})
    headers = emulator.call("GET", url, params={"comp": "metadata"}).headers
    assert headers["x-ms-meta-upload_status"] == "completed"
    assert "x-ms-meta-old" not in headers


def test_list_is_paged_by_prefix(emulator):
    """The list holds every blob below the prefix once, over pages."""
    for name in ("list/a", "list/b/c", "list/d", "lost"):
        put(emulator, f"{CONTAINER}/{name}", data=b"x")
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
        put(emulator, f"{CONTAINER}/{name}", data=b"x")
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
    put(emulator, f"{CONTAINER}/some/file", data=b"x")
    for host in ({}, {"Host": "azuremllocal.blob.core.windows.net"}):
        path = f"/{facts.BLOBSTORE_CONTAINER}/some/" if host else f"{CONTAINER}/some/"
        assert emulator.call("HEAD", path, headers=host).status_code == 404


def test_containers_are_created_once(emulator):
    """Create Container answers 201, then 409; a blob of no container answers 404."""
    query = {"restype": "container"}
    assert put(emulator, f"{ROOT}/fresh-one/x", data=b"x").headers["x-ms-error-code"] == "ContainerNotFound"
    assert emulator.call("PUT", f"{ROOT}/fresh-one", params=query).status_code == 201
    assert emulator.call("PUT", f"{ROOT}/fresh-one", params=query).status_code == 409
    assert emulator.call("DELETE", f"{ROOT}/fresh-one", params=query).status_code == 202
    assert emulator.call("GET", f"{ROOT}/fresh-one", params=query).status_code == 404


def test_a_sas_opens_what_it_was_given_for_and_nothing_else(emulator):
    """A blob SAS reads its blob without a token; not another blob, not for writing, not with another signature."""
    put(emulator, f"{CONTAINER}/open.txt", data=b"open")
    put(emulator, f"{CONTAINER}/closed.txt", data=b"closed")
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
    host = {"Host": f"{facts.STORAGE_ACCOUNT}.blob.core.windows.net", "x-ms-blob-type": "BlockBlob"}
    root = f"{emulator.url}/{facts.BLOBSTORE_CONTAINER}"
    assert requests.put(f"{root}/by/host.txt?{sas}", data=b"host", headers=host, timeout=10).status_code == 201
    listing = requests.get(f"{root}?restype=container&comp=list&prefix=by/&{sas}", headers=host, timeout=10)
    assert "<Name>by/host.txt</Name>" in listing.text
    assert emulator.call("GET", f"{CONTAINER}/by/host.txt").content == b"host"


def test_shared_key_is_verified(emulator):
    """A request signed with the account's key is accepted, one signed with another key refused."""
    put(emulator, f"{CONTAINER}/keyed.txt", data=b"keyed")
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
    put(fresh_emulator, url, data=b"kept", **{"x-ms-meta-a": "b"})
    fresh_emulator.kill()
    fresh_emulator.start()
    answer = fresh_emulator.call("GET", url)
    assert (answer.content, answer.headers["x-ms-meta-a"]) == (b"kept", "b")


# What clients demand of a blob, and what they cannot have.


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.headers.get("x-ms-error-code", "")


NOT_MET = (412, "ConditionNotMet")
OLD, LATER = formatdate(0, usegmt=True), formatdate(2**32, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "writing", "reading"),
    [
        ({"If-Match": "{etag}"}, 200, 200),
        ({"If-Match": "*"}, 200, 200),
        ({"If-Match": '"0x1", {etag}'}, 200, 200),
        ({"If-Match": '"0x1"'}, 412, 412),
        ({"If-None-Match": '"0x1"'}, 200, 200),
        ({"If-None-Match": "{etag}"}, 412, 304),
        ({"If-Modified-Since": OLD}, 200, 200),
        ({"If-Modified-Since": LATER}, 412, 304),
        ({"If-Unmodified-Since": LATER}, 200, 200),
        ({"If-Unmodified-Since": OLD}, 412, 412),
        ({"If-None-Match": '"0x1"', "If-Modified-Since": LATER}, 200, 200),
        ({"If-Modified-Since": "yesterday"}, 400, 400),
    ],
)
def test_conditions_are_kept(emulator, headers, writing, reading):
    """A write whose condition is not met writes nothing (412), a reader who has the blob gets 304."""
    url = f"{CONTAINER}/conditions.txt"
    etag = put(emulator, url, data=b"old").headers["ETag"]
    given = {name: value.replace("{etag}", etag) for name, value in headers.items()}
    assert emulator.call("GET", url, headers=given).status_code == reading
    assert emulator.call("HEAD", url, headers=given).status_code == reading
    written = emulator.call("PUT", url, params={"comp": "metadata"}, headers={**given, "x-ms-meta-a": "b"})
    assert written.status_code == writing
    assert ("x-ms-meta-a" in emulator.call("HEAD", url).headers) == (writing == 200)
    etag = put(emulator, url, data=b"old").headers["ETag"]
    given = {name: value.replace("{etag}", etag) for name, value in headers.items()}
    assert put(emulator, url, data=b"new", **given).status_code == (201 if writing == 200 else writing)
    assert emulator.call("GET", url).content == (b"new" if writing == 200 else b"old")


def test_a_condition_on_a_blob_that_is_not_there_is_not_met(emulator):
    """If-Match on an absent blob writes nothing; a conditional deletion deletes only what it was asked to."""
    url = f"{CONTAINER}/guarded.txt"
    assert code(put(emulator, url, data=b"x", **{"If-Match": "*"})) == NOT_MET
    put(emulator, url, data=b"x")
    assert code(emulator.call("DELETE", url, headers={"If-Match": '"0x1"'})) == NOT_MET
    assert emulator.call("DELETE", url, headers={"If-Match": "*"}).status_code == 202


def test_of_concurrent_writers_with_one_etag_one_writes(emulator):
    """Sixteen that have read the same version and write with If-Match: fifteen are told that they are late."""
    url = f"{CONTAINER}/raced.txt"
    etag = put(emulator, url, data=b"x").headers["ETag"]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: put(emulator, url, data=b"y", **{"If-Match": etag}).status_code, range(16)))
    assert sorted(answers) == [201] + [412] * 15


def test_every_write_changes_the_etag(emulator):
    """Content, metadata and properties: each of them gives the blob another ETag."""
    url = f"{CONTAINER}/etag.txt"
    etags = [put(emulator, url, data=b"x").headers["ETag"] for _ in range(2)]
    etags.append(emulator.call("PUT", url, params={"comp": "metadata"}, headers={"x-ms-meta-a": "b"}).headers["ETag"])
    etags.append(emulator.call("PUT", url, params={"comp": "properties"}).headers["ETag"])
    assert len(set(etags)) == 4
    assert emulator.call("HEAD", url).headers["ETag"] == etags[-1]


def test_properties_are_kept_and_replaced_as_a_whole(emulator):
    """The headers of a blob come back with it; Set Blob Properties clears what it does not name."""
    url = f"{CONTAINER}/properties.txt"
    put(emulator, url, data=b"x", **{"Cache-Control": "no-store", "x-ms-blob-content-language": "da"})
    headers = emulator.call("GET", url).headers
    assert (headers["Cache-Control"], headers["Content-Language"]) == ("no-store", "da")
    emulator.call("PUT", url, params={"comp": "properties"}, headers={"x-ms-blob-content-disposition": "attachment"})
    headers = emulator.call("GET", url).headers
    assert (headers["Content-Disposition"], "Cache-Control" in headers) == ("attachment", False)


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"x-ms-copy-source": "https://x/y"}, {}),
        ({"x-ms-copy-source": "https://x/y"}, {"comp": "block", "blockid": "MQ=="}),
        ({"x-ms-lease-id": "1"}, {}),
        ({"x-ms-encryption-key": "1"}, {}),
        ({"x-ms-tags": "a=b"}, {}),
        ({"x-ms-if-tags": "a=b"}, {}),
        ({"x-ms-access-tier": "Cool"}, {}),
        ({"x-ms-blob-type": "AppendBlob"}, {}),
        ({}, {"comp": "appendblock"}),
        ({}, {"comp": "lease"}),
        ({}, {"versionid": "1"}),
        ({}, {"snapshot": "1"}),
    ],
)
def test_what_is_not_done_is_refused_by_name(emulator, headers, params):
    """A copy, a lease, a tag ... is a 501 that names it, and the blob stays as it was."""
    url = f"{CONTAINER}/refused.txt"
    put(emulator, url, data=b"kept")
    answer = emulator.call("PUT", url, params=params, data=b"x", headers={"x-ms-blob-type": "BlockBlob", **headers})
    assert code(answer) == (501, "NotImplemented")
    assert emulator.call("GET", url).content == b"kept"
    named = params.get("comp") or next(iter(headers or params))
    assert named in answer.text or headers.get("x-ms-blob-type", "-") in answer.text


def test_reading_a_version_and_deleting_snapshots_only_are_refused(emulator):
    """Neither is answered with the blob itself."""
    url = f"{CONTAINER}/versions.txt"
    put(emulator, url, data=b"kept")
    assert code(emulator.call("GET", url, params={"versionid": "1"}))[0] == 501
    assert code(emulator.call("DELETE", url, headers={"x-ms-delete-snapshots": "only"}))[0] == 501
    assert emulator.call("GET", url).content == b"kept"


@pytest.mark.parametrize("name", ["x//b", "/b", "dir/", "x" * 256])
def test_a_name_that_no_file_can_have_is_refused(emulator, name):
    """Such a name never means another blob: writing is a 501, reading a 404."""
    put(emulator, f"{CONTAINER}/x/b", data=b"other")
    url = f"{CONTAINER}/{name}"
    assert code(put(emulator, url, data=b"x")) == (501, "NotImplemented")
    assert code(emulator.call("GET", url)) == (404, "BlobNotFound")
    assert emulator.call("GET", f"{CONTAINER}/x/b").content == b"other"
    assert put(emulator, f"{CONTAINER}/dir/f", data=b"x").status_code == 201


def test_a_blob_below_a_blob_is_refused(emulator):
    """`a` and `a/b` cannot both be files: the second is a 501, whichever it is."""
    put(emulator, f"{CONTAINER}/leaf", data=b"x")
    put(emulator, f"{CONTAINER}/branch/leaf", data=b"x")
    assert code(put(emulator, f"{CONTAINER}/leaf/below", data=b"x"))[0] == 501
    assert code(put(emulator, f"{CONTAINER}/branch", data=b"x"))[0] == 501


def test_names_that_xml_cannot_have_are_listed_encoded(emulator):
    """A control character in a name does not break the list; a name that is no UTF-8 is refused."""
    put(emulator, f"{CONTAINER}/odd/a%01b", data=b"x")
    put(emulator, f"{CONTAINER}/odd/<&>", data=b"x")
    query = {"restype": "container", "comp": "list", "prefix": "odd/"}
    names = re.findall(r"<Name[^>]*>([^<]*)</Name>", emulator.call("GET", CONTAINER, params=query).text)
    assert [unquote(name) for name in names] == ["odd/&lt;&amp;&gt;", "odd/a\x01b"]
    assert emulator.call("GET", f"{CONTAINER}/odd/a%01b").content == b"x"
    assert code(put(emulator, f"{CONTAINER}/odd/%FF", data=b"x")) == (400, "InvalidUri")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"maxresults": "many"}, (400, "InvalidQueryParameterValue")),
        ({"maxresults": "0"}, (400, "OutOfRangeQueryParameterValue")),
        ({"maxresults": "-1"}, (400, "OutOfRangeQueryParameterValue")),
        ({"maxresults": "5001"}, (200, "")),
        ({"marker": "?"}, (400, "InvalidQueryParameterValue")),
        ({"include": "nonsense"}, (400, "InvalidQueryParameterValue")),
        ({"include": "snapshots,metadata"}, (200, "")),
        ({"include": "uncommittedblobs"}, (501, "NotImplemented")),
        ({"comp": "acl"}, (501, "NotImplemented")),
    ],
)
def test_parameters_of_a_list_are_checked(emulator, query, expected):
    """What is no value of a parameter is refused as the service refuses it."""
    assert code(emulator.call("GET", CONTAINER, params={"restype": "container", "comp": "list", **query})) == expected


def test_metadata_is_listed_when_it_is_asked_for(emulator):
    """Without `include=metadata` a list has none; a name that is no identifier is refused."""
    put(emulator, f"{CONTAINER}/listed/m", data=b"x", **{"x-ms-meta-colour": "red"})
    query = {"restype": "container", "comp": "list", "prefix": "listed/"}
    assert "colour" not in emulator.call("GET", CONTAINER, params=query).text
    assert "<colour>red" in emulator.call("GET", CONTAINER, params={**query, "include": "metadata"}).text
    assert code(put(emulator, f"{CONTAINER}/listed/m", data=b"x", **{"x-ms-meta-a-b": "c"})) == (400, "InvalidMetadata")


def block_list(*entries: tuple[str, bytes]) -> str:
    blocks = "".join(f"<{kind}>{base64.b64encode(number).decode()}</{kind}>" for kind, number in entries)
    return f"<?xml version='1.0'?><BlockList>{blocks}</BlockList>"


def put_block(emulator, url, number: bytes, content: bytes, **headers):
    query = {"comp": "block", "blockid": base64.b64encode(number).decode()}
    return emulator.call("PUT", url, params=query, data=content, headers=headers)


def commit(emulator, url, *entries):
    return emulator.call("PUT", url, params={"comp": "blocklist"}, data=block_list(*entries))


def test_a_block_list_says_which_block_it_means(emulator):
    """Committed, Uncommitted and Latest name the blob's own block, the waiting one, and whichever is newer."""
    url = f"{CONTAINER}/lists.bin"
    for number in (b"1", b"2"):
        put_block(emulator, url, number, b"old" + number)
    assert commit(emulator, url, ("Latest", b"1"), ("Uncommitted", b"2")).status_code == 201
    put_block(emulator, url, b"1", b"new1")
    assert code(commit(emulator, url, ("Uncommitted", b"2"))) == (400, "InvalidBlockList")
    listed = emulator.call("GET", url, params={"comp": "blocklist", "blocklisttype": "all"}).text
    assert [listed.count(f"<Name>{base64.b64encode(number).decode()}</Name>") for number in (b"1", b"2")] == [2, 1]
    assert emulator.call("GET", url).content == b"old1old2"
    answer = commit(emulator, url, ("Committed", b"1"), ("Latest", b"1"), ("Latest", b"2"), ("Committed", b"2"))
    assert answer.status_code == 201
    assert emulator.call("GET", url).content == b"old1new1old2old2"


def test_a_new_blob_forgets_the_blocks(emulator):
    """Put Blob and Delete Blob drop blocks that wait, and Put Blob the committed ones, too."""
    url = f"{CONTAINER}/forgotten.bin"
    put_block(emulator, url, b"1", b"one")
    put(emulator, url, data=b"whole")
    assert code(commit(emulator, url, ("Latest", b"1"))) == (400, "InvalidBlockList")
    assert emulator.call("GET", url).content == b"whole"


@pytest.mark.parametrize("block_id", ["", "not base64!", base64.b64encode(b"x" * 65).decode()])
def test_a_block_id_that_is_none_is_refused(emulator, block_id):
    """Ids are base64 of 1 to 64 bytes, and all of a blob's have one length."""
    url = f"{CONTAINER}/ids.bin"
    answer = emulator.call("PUT", url, params={"comp": "block", "blockid": block_id}, data=b"x")
    assert code(answer) == (400, "InvalidBlobOrBlock")
    put_block(emulator, url, b"1", b"x")
    assert code(put_block(emulator, url, b"10", b"x")) == (400, "InvalidBlobOrBlock")


def test_a_damaged_body_is_refused(emulator):
    """A body that is not the one that the client has hashed, and a list that is no list, change nothing."""
    url = f"{CONTAINER}/damaged.bin"
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    assert code(put(emulator, url, data=b"x", **{"Content-MD5": wrong})) == (400, "Md5Mismatch")
    assert code(put_block(emulator, url, b"1", b"x", **{"Content-MD5": wrong})) == (400, "Md5Mismatch")
    for text in ("", "no xml", "<BlockList><Other>MQ==</Other></BlockList>"):
        answer = emulator.call("PUT", url, params={"comp": "blocklist"}, data=text)
        assert code(answer) == (400, "InvalidXmlDocument")
    assert emulator.call("PUT", url, data=b"x").headers["x-ms-error-code"] == "InvalidHeaderValue"
    assert emulator.call("GET", url).status_code == 404


def test_blocks_survive_a_restart_and_properties_end_with_their_container(fresh_emulator):
    """What was put before a kill can be committed after it; a container made anew remembers nothing."""
    url, query = f"{ROOT}/mine-{'x' * 5}/kept.bin", {"restype": "container"}
    container = url.rpartition("/")[0]
    fresh_emulator.call("PUT", container, params=query)
    put_block(fresh_emulator, url, b"1", b"one")
    fresh_emulator.kill()
    fresh_emulator.start()
    assert commit(fresh_emulator, url, ("Latest", b"1")).status_code == 201
    fresh_emulator.call("DELETE", container, params=query)
    fresh_emulator.call("PUT", container, params=query)
    put_block(fresh_emulator, url, b"2", b"two")
    assert code(commit(fresh_emulator, url, ("Committed", b"1"))) == (400, "InvalidBlockList")
