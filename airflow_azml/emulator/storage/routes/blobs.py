"""The blob service: the operations that Azure ML's clients use, by path (`/_blob/{account}/...`) or by host name.

Callers bring a SAS, the account's key or a token, as for the service. Bodies are streamed to and from disk. What a
request asks for beyond these operations is refused by name (blob_requests.py).
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from airflow_azml.emulator.http.access import World
from airflow_azml.emulator.http.faults import Fault, not_implemented
from airflow_azml.emulator.http.streams import read, receive
from airflow_azml.emulator.http.wire import router
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage import blob_lists, blob_requests, blocks, conditions
from airflow_azml.emulator.storage.blob_access import VERSION, check_shared_key, check_signature
from airflow_azml.emulator.storage.blobs import Blob

METADATA = blob_requests.METADATA
PERMISSIONS = {"GET": "r", "HEAD": "r", "PUT": "wc", "DELETE": "d"}


def _authorize(request: Request, world: World, account: str, container: str = "", name: str = "") -> None:
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
        world.identity.check(authorization)
    else:
        raise Fault(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")


def _check(request: Request, name: str = "") -> None:
    if "\ufffd" in name:  # what the address has is no UTF-8: two such names would be one
        raise Fault(400, "InvalidUri", "The requested URI does not represent any resource on the server.")
    blob_requests.check(request.query_params, request.headers)


routes = router("/_blob/{account}", (Depends(_authorize), Depends(_check)))


@routes.put("/{container}")
def put_container(container: str, request: Request, world: World) -> Response:
    """Create Container."""
    _only(request, comp="")
    if blob_requests.metadata(request.headers):
        raise not_implemented("Create Container with", "metadata")
    if not world.blobs.create_container(container):
        raise Fault(409, "ContainerAlreadyExists", "The specified container already exists.")
    return Response(status_code=201, headers=_common(request))


@routes.delete("/{container}")
def delete_container(container: str, request: Request, world: World) -> Response:
    """Delete Container."""
    _only(request, comp="")
    world.blobs.delete_container(container)
    return Response(status_code=202, headers=_common(request))


@routes.api_route("/{container}", methods=["GET", "HEAD"])
def get_container(container: str, request: Request, world: World) -> Response:
    """List Blobs, flat or by folders (with a delimiter), or Get Container Properties."""
    _only(request, comp=("", "list"))
    query = request.query_params
    if query.get("comp") != "list":
        world.blobs.folder(container)
        return Response(headers=_common(request))
    first, size, included = blob_requests.marker(query), blob_requests.page_size(query), blob_requests.included(query)
    prefix = query.get("prefix", "")
    entries = blob_lists.by_folder(world.blobs.list(container, prefix), prefix, query.get("delimiter", ""))
    found = [entry for entry in entries.items() if entry[0] >= first]
    following = blob_requests.next_marker(found[size][0]) if len(found) > size else ""
    listing = blob_lists.blobs_xml(container, prefix, found[:size], following, metadata="metadata" in included)
    return Response(listing, headers=_common(request), media_type="application/xml")


@routes.api_route("/{container}/{name:path}", methods=["GET", "HEAD"])
def get_blob(container: str, name: str, request: Request, world: World) -> Response:
    """Get Blob (a range of it), Get Blob Properties, Get Blob Metadata, Get Block List."""
    operation = request.query_params.get("comp", "")
    if operation not in {"", "metadata", "blocklist"}:
        raise not_implemented(f"{request.method} blob, comp =", operation)
    if operation == "blocklist":
        return _block_list(container, name, request, world)
    blob = world.blobs.get(container, name)
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
async def put_blob(container: str, name: str, request: Request, world: World) -> Response:
    """Put Blob, Put Block, Put Block List, Set Blob Metadata, Set Blob Properties: told apart by `comp`."""
    operation = request.query_params.get("comp", "")
    if operation not in WRITES:
        raise not_implemented("PUT blob, comp =", operation)
    with world.blobs.upload() as file:
        await receive(request, file)
        return await run_in_threadpool(WRITES[operation], world, container, name, request, file)


@routes.delete("/{container}/{name:path}")
def delete_blob(container: str, name: str, request: Request, world: World) -> Response:
    """Delete Blob."""
    with world.blobs.writing(container, name):
        conditions.check(request.headers, world.blobs.get(container, name), reading=False)
        world.blobs.delete(container, name)
        world.blocks.forget(container, name)
    return Response(status_code=202, headers=_common(request))


def _put_block_blob(world: World, container: str, name: str, request: Request, file: Path) -> Response:
    kind = request.headers.get("x-ms-blob-type", "")
    if kind.casefold() in {"appendblob", "pageblob"}:
        raise not_implemented("Put Blob of type", kind)
    if kind.casefold() != "blockblob":
        raise _bad_header("x-ms-blob-type", kind)
    properties = blob_requests.properties(request.headers, file)
    with world.blobs.writing(container, name):
        conditions.check(request.headers, world.blobs.find(container, name), reading=False)
        blob = world.blobs.commit(file, container, name, **properties)
        world.blocks.forget(container, name)
    return _created(request, blob)


def _put_block(world: World, container: str, name: str, request: Request, file: Path) -> Response:
    if not file.stat().st_size:
        raise _bad_header("Content-Length", "0")
    digest = blob_requests.checked_md5(request.headers, file)
    world.blocks.put(file, container, name, request.query_params.get("blockid", ""))
    return Response(status_code=201, headers={**_common(request), "Content-MD5": digest})


def _put_block_list(world: World, container: str, name: str, request: Request, file: Path) -> Response:
    blob_requests.checked_md5(request.headers, file)
    entries, properties = blocks.read_list(file), blob_requests.properties(request.headers, None)
    with world.blobs.writing(container, name):
        conditions.check(request.headers, world.blobs.find(container, name), reading=False)
        return _created(request, world.blocks.commit(container, name, entries, **properties))


def _set_metadata(world: World, container: str, name: str, request: Request, _: Path) -> Response:
    return _changed(world, container, name, request, metadata=blob_requests.metadata(request.headers))


def _set_properties(world: World, container: str, name: str, request: Request, _: Path) -> Response:
    return _changed(world, container, name, request, **blob_requests.http_properties(request.headers))


def _changed(world: World, container: str, name: str, request: Request, **properties: object) -> Response:
    with world.blobs.writing(container, name):
        conditions.check(request.headers, world.blobs.get(container, name), reading=False)
        blob = world.blobs.set_properties(container, name, **properties)
    return Response(headers={**_common(request), **_written(blob)})


WRITES: dict[str, Callable[[World, str, str, Request, Path], Response]] = {
    "": _put_block_blob,
    "block": _put_block,
    "blocklist": _put_block_list,
    "metadata": _set_metadata,
    "properties": _set_properties,
}


def _block_list(container: str, name: str, request: Request, world: World) -> Response:
    wanted = request.query_params.get("blocklisttype", blocks.COMMITTED).casefold()
    if wanted not in {"committed", "uncommitted", "all"}:
        raise Fault(400, "InvalidQueryParameterValue", f"There is no block list of type '{wanted}'.")
    waiting, blob = world.blocks.uncommitted(container, name), world.blobs.find(container, name)
    if blob is None and not waiting:
        blob = world.blobs.get(container, name)
    lists = {blocks.COMMITTED: blob.blocks if blob else [], blocks.UNCOMMITTED: waiting}
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
