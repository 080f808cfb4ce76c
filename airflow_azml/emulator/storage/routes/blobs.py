"""The blob service: the operations that Azure ML's clients use, by path (`/_blob/{account}/...`) or by host name.

Callers bring a SAS, the account's key or a token, as for the service. Bodies are streamed to and from disk. What a
request asks for beyond these operations is refused by name (blob_requests.py).
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from itertools import islice
from pathlib import Path

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, not_implemented
from airflow_azml.emulator.http.streams import read, receive
from airflow_azml.emulator.http.wire import router
from airflow_azml.emulator.identity.provider import IdentityProvider
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage import blob_lists, blob_requests, conditions
from airflow_azml.emulator.storage.blob_access import VERSION, check_shared_key, check_signature
from airflow_azml.emulator.storage.blobs import Blob, BlobStore
from airflow_azml.emulator.storage.blocks import COMMITTED, UNCOMMITTED, Blocks, read_list

METADATA = blob_requests.METADATA
PERMISSIONS = {"GET": "r", "HEAD": "r", "PUT": "wc", "DELETE": "d"}


async def _authorize(
    request: Request, identity: Engine[IdentityProvider], account: str, container: str = "", name: str = ""
) -> None:
    query = dict(request.query_params)
    authorization = request.headers.get("authorization", "")
    if account.casefold() != facts.STORAGE_ACCOUNT:
        raise Fault(404, "ResourceNotFound", f"There is no storage account '{account}'.")
    if "sig" in query:
        check_signature(query, container, name, "l" if query.get("comp") == "list" else PERMISSIONS[request.method])
    elif authorization.casefold().startswith("sharedkey "):
        raw_path = request.scope.get("raw_path", b"").decode("latin-1")
        check_shared_key(request.method, raw_path, query, request.headers)
    elif authorization:
        identity.check(authorization)
    else:
        raise Fault(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")


async def _check(request: Request, name: str = "") -> None:
    if "\ufffd" in name:  # what the address has is no UTF-8: two such names would be one
        raise Fault(400, "InvalidUri", "The requested URI does not represent any resource on the server.")
    blob_requests.check(request.query_params, request.headers)


routes = router("/_blob/{account}", (Depends(_authorize), Depends(_check)))


@routes.put("/{container}")
def put_container(container: str, request: Request, blobs: Engine[BlobStore]) -> Response:
    """Create Container."""
    _only(request, comp="")
    if blob_requests.metadata(request.headers):
        raise not_implemented("Create Container with", "metadata")
    if not blobs.create_container(container):
        raise Fault(409, "ContainerAlreadyExists", "The specified container already exists.")
    return Response(status_code=201, headers=_common(request))


@routes.delete("/{container}")
def delete_container(container: str, request: Request, blobs: Engine[BlobStore]) -> Response:
    """Delete Container."""
    _only(request, comp="")
    blobs.delete_container(container)
    return Response(status_code=202, headers=_common(request))


@routes.api_route("/{container}", methods=["GET", "HEAD"])
def get_container(container: str, request: Request, blobs: Engine[BlobStore]) -> Response:
    """List Blobs, flat or by folders (with a delimiter), or Get Container Properties."""
    _only(request, comp=("", "list"))
    query = request.query_params
    if query.get("comp") != "list":
        blobs.folder(container)
        return Response(headers=_common(request))
    first, size, included = blob_requests.marker(query), blob_requests.page_size(query), blob_requests.included(query)
    prefix = query.get("prefix", "")
    entries = blob_lists.by_folder(blobs.list(container, prefix, first), prefix, query.get("delimiter", ""))
    found = list(islice((entry for entry in entries if entry[0] >= first), size + 1))
    following = blob_requests.next_marker(found[size][0]) if len(found) > size else ""
    listing = blob_lists.blobs_xml(container, prefix, found[:size], following, metadata="metadata" in included)
    return Response(listing, headers=_common(request), media_type="application/xml")


@routes.api_route("/{container}/{name:path}", methods=["GET", "HEAD"])
def get_blob(container: str, name: str, request: Request, blobs: Engine[BlobStore], blocks: Engine[Blocks]) -> Response:
    """Get Blob (a range of it), Get Blob Properties, Get Blob Metadata, Get Block List."""
    operation = request.query_params.get("comp", "")
    if operation not in {"", "metadata", "blocklist"}:
        raise not_implemented(f"{request.method} blob, comp =", operation)
    if operation == "blocklist":
        return _block_list(container, name, request, blobs, blocks)
    blob = blobs.get(container, name)
    try:
        conditions.check(request.headers, blob, reading=True)
    except conditions.NotModifiedError:
        return Response(status_code=304, headers={**_common(request), **_written(blob)})
    headers = {**_common(request), **_described(blob), **_overrides(request)}
    if request.method == "HEAD" or operation:
        return Response(headers={**headers, "Content-Length": "0" if operation else str(blob.size)})
    status = 200
    if asked := conditions.byte_range(request.headers, blob.size):
        status, headers["Content-Range"] = 206, f"bytes {asked[0]}-{asked[1] - 1}/{blob.size}"
        headers.pop("Content-MD5", None)  # it is that of the whole blob
    start, end = asked or (0, blob.size)
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(read(blob.path, start, end), status, headers)


@routes.put("/{container}/{name:path}")
async def put_blob(
    container: str, name: str, request: Request, blobs: Engine[BlobStore], blocks: Engine[Blocks]
) -> Response:
    """Put Blob, Put Block, Put Block List, Set Blob Metadata, Set Blob Properties: told apart by `comp`."""
    operation = request.query_params.get("comp", "")
    if operation not in WRITES:
        raise not_implemented("PUT blob, comp =", operation)
    with blobs.upload() as file:
        await receive(request, file)
        return await run_in_threadpool(WRITES[operation], blobs, blocks, container, name, request, file)


@routes.delete("/{container}/{name:path}")
def delete_blob(
    container: str, name: str, request: Request, blobs: Engine[BlobStore], blocks: Engine[Blocks]
) -> Response:
    """Delete Blob."""
    with blobs.writing(container, name):
        conditions.check(request.headers, blobs.get(container, name), reading=False)
        blobs.delete(container, name)
        blocks.forget(container, name)
    return Response(status_code=202, headers=_common(request))


def _put_block_blob(
    blobs: BlobStore, blocks: Blocks, container: str, name: str, request: Request, file: Path
) -> Response:
    kind = request.headers.get("x-ms-blob-type", "")
    if kind.casefold() in {"appendblob", "pageblob"}:
        raise not_implemented("Put Blob of type", kind)
    if kind.casefold() != "blockblob":
        raise _bad_header("x-ms-blob-type", kind)
    properties = blob_requests.properties(request.headers, file)
    with blobs.writing(container, name):
        conditions.check(request.headers, blobs.find(container, name), reading=False)
        blob = blobs.commit(file, container, name, **properties)
        blocks.forget(container, name)
    return _created(request, blob)


def _put_block(_: BlobStore, blocks: Blocks, container: str, name: str, request: Request, file: Path) -> Response:
    if not file.stat().st_size:
        raise _bad_header("Content-Length", "0")
    digest = blob_requests.checked_md5(request.headers, file)
    blocks.put(file, container, name, request.query_params.get("blockid", ""))
    return Response(status_code=201, headers={**_common(request), "Content-MD5": digest})


def _put_block_list(
    blobs: BlobStore, blocks: Blocks, container: str, name: str, request: Request, file: Path
) -> Response:
    blob_requests.checked_md5(request.headers, file)
    entries, properties = read_list(file), blob_requests.properties(request.headers, None)
    with blobs.writing(container, name):
        conditions.check(request.headers, blobs.find(container, name), reading=False)
        return _created(request, blocks.commit(container, name, entries, **properties))


def _set_metadata(blobs: BlobStore, _: Blocks, container: str, name: str, request: Request, __: Path) -> Response:
    return _changed(blobs, container, name, request, metadata=blob_requests.metadata(request.headers))


def _set_properties(blobs: BlobStore, _: Blocks, container: str, name: str, request: Request, __: Path) -> Response:
    return _changed(blobs, container, name, request, **blob_requests.http_properties(request.headers))


def _changed(blobs: BlobStore, container: str, name: str, request: Request, **properties: object) -> Response:
    with blobs.writing(container, name):
        conditions.check(request.headers, blobs.get(container, name), reading=False)
        blob = blobs.set_properties(container, name, **properties)
    return Response(headers={**_common(request), **_written(blob)})


WRITES: dict[str, Callable[[BlobStore, Blocks, str, str, Request, Path], Response]] = {
    "": _put_block_blob,
    "block": _put_block,
    "blocklist": _put_block_list,
    "metadata": _set_metadata,
    "properties": _set_properties,
}


def _block_list(container: str, name: str, request: Request, blobs: BlobStore, blocks: Blocks) -> Response:
    wanted = request.query_params.get("blocklisttype", COMMITTED).casefold()
    if wanted not in {"committed", "uncommitted", "all"}:
        raise Fault(400, "InvalidQueryParameterValue", f"There is no block list of type '{wanted}'.")
    waiting, blob = blocks.uncommitted(container, name), blobs.find(container, name)
    if blob is None and not waiting:
        blob = blobs.get(container, name)
    lists = {COMMITTED: blob.blocks if blob else [], UNCOMMITTED: waiting}
    shown = {kind: found for kind, found in lists.items() if wanted in {kind.casefold(), "all"}}
    headers = {**_common(request), **(_written(blob) if blob else {})}
    return Response(blob_lists.blocks_xml(shown), headers=headers, media_type="application/xml")


def _only(request: Request, comp: str | tuple[str, ...]) -> None:
    """Refuse an operation on a container that is not offered."""
    query = request.query_params
    if query.get("restype", "").casefold() != "container":
        raise not_implemented(f"{request.method} container without", "restype=container")
    if query.get("comp", "").casefold() not in (comp if isinstance(comp, tuple) else (comp,)):
        raise not_implemented(f"{request.method} container, comp =", query["comp"])


def _bad_header(name: str, value: str) -> Fault:
    message = "The value for one of the HTTP headers is not in the correct format."
    return Fault(400, "InvalidHeaderValue", f"{message} {name}: '{value}'.")


def _common(request: Request) -> dict[str, str]:
    version = request.headers.get("x-ms-version", VERSION)
    return {"x-ms-version": version, "x-ms-request-server-encrypted": "true"}


def _written(blob: Blob) -> dict[str, str]:
    return {"ETag": blob.etag, "Last-Modified": formatdate(blob.modified, usegmt=True)}


def _created(request: Request, blob: Blob) -> Response:
    md5 = {"Content-MD5": blob.content_md5} if blob.content_md5 else {}
    return Response(status_code=201, headers={**_common(request), **_written(blob), **md5})


def _described(blob: Blob) -> dict[str, str]:
    headers = {**_written(blob), "Accept-Ranges": "bytes", "x-ms-blob-type": "BlockBlob"}
    headers["Content-Type"] = blob.content_type
    headers["x-ms-creation-time"] = headers["Last-Modified"]
    headers |= {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available", **blob.headers}
    headers |= {METADATA + name: value for name, value in blob.metadata.items()}
    if blob.content_md5:
        headers["Content-MD5"] = headers["x-ms-blob-content-md5"] = blob.content_md5
    return headers


def _overrides(request: Request) -> dict[str, str]:
    """Return the headers that a shared access signature sets for the answer."""
    names = {"rscc": "Cache-Control", "rscd": "Content-Disposition", "rsce": "Content-Encoding"}
    names |= {"rscl": "Content-Language", "rsct": "Content-Type"}
    query = request.query_params
    return {names[name]: query[name] for name in names if name in query and "sig" in query}
