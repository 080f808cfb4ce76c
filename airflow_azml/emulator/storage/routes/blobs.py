"""The blob service: the operations that Azure ML's clients use, by path (`/_blob/{account}/...`) or by host name.

Callers bring a SAS, the account's key or a token, as for the service. Bodies are streamed to and from disk.
"""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import formatdate
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree as ET  # only written here, never parsed

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from airflow_azml.emulator.http.access import World
from airflow_azml.emulator.http.faults import Fault, not_implemented
from airflow_azml.emulator.http.streams import read, receive
from airflow_azml.emulator.http.wire import router
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage.blob_access import VERSION, check_shared_key, check_signature
from airflow_azml.emulator.storage.blobs import Blob, BlobStore

METADATA = "x-ms-meta-"
RANGE = re.compile(r"bytes=(?P<start>\d{1,18})-(?P<last>\d{0,18})")
BLOCK_IDS = re.compile(r"<(?:Latest|Uncommitted|Committed)>([^<]*)</")
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


def _blobs(world: World) -> BlobStore:
    return world.blobs


routes = router("/_blob/{account}", (Depends(_authorize),))
Blobs = Annotated[BlobStore, Depends(_blobs)]


@routes.put("/{container}")
def put_container(container: str, request: Request, blobs: Blobs) -> Response:
    """Create Container."""
    _only(request, restype="container")
    if not blobs.create_container(container):
        raise Fault(409, "ContainerAlreadyExists", "The specified container already exists.")
    return Response(status_code=201, headers=_common(request))


@routes.delete("/{container}")
def delete_container(container: str, request: Request, blobs: Blobs) -> Response:
    """Delete Container."""
    _only(request, restype="container")
    blobs.delete_container(container)
    return Response(status_code=202, headers=_common(request))


@routes.api_route("/{container}", methods=["GET", "HEAD"])
def get_container(container: str, request: Request, blobs: Blobs) -> Response:
    """List Blobs, flat or by folders (with a delimiter), or Get Container Properties."""
    _only(request, restype="container")
    query = request.query_params
    if query.get("comp") != "list":
        blobs.folder(container)
        return Response(headers=_common(request))
    first, prefix = _marker(query.get("marker", "")), query.get("prefix", "")
    entries = _by_folder(blobs.list(container, prefix), prefix, query.get("delimiter", ""))
    found = [entry for entry in entries.items() if entry[0] >= first]
    top = int(query["maxresults"]) if query.get("maxresults", "").isdigit() else 5000
    page, rest = found[: max(top, 1)], found[max(top, 1) :]
    marker = base64.urlsafe_b64encode(rest[0][0].encode()).decode() if rest else ""
    return Response(_listing(container, prefix, page, marker), media_type="application/xml")


@routes.api_route("/{container}/{name:path}", methods=["GET", "HEAD"])
def get_blob(container: str, name: str, request: Request, blobs: Blobs) -> Response:
    """Get Blob (a range of it), Get Blob Properties, Get Blob Metadata."""
    if request.query_params.get("comp", "metadata") != "metadata":
        raise not_implemented(f"{request.method} blob, comp =", request.query_params["comp"])
    blob = blobs.get(container, name)
    headers = {**_common(request), **_described(blob)}
    if request.method == "HEAD" or "comp" in request.query_params:
        length = blob.size if "comp" not in request.query_params else 0
        return Response(headers={**headers, "Content-Length": str(length)})
    status = 200
    if asked := _range(request, blob.size):
        status, headers["Content-Range"] = 206, f"bytes {asked[0]}-{asked[1] - 1}/{blob.size}"
    start, end = asked or (0, blob.size)
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(read(blob.path, start, end), status, headers)


@routes.put("/{container}/{name:path}")
async def put_blob(container: str, name: str, request: Request, blobs: Blobs) -> Response:
    """Put Blob, Put Block, Put Block List, Set Blob Metadata, Set Blob Properties: told apart by `comp`."""
    operation = request.query_params.get("comp", "")
    if operation not in WRITES:
        raise not_implemented("PUT blob, comp =", operation)
    with blobs.upload() as file:
        await receive(request, file)
        return await run_in_threadpool(WRITES[operation], blobs, container, name, request, file)


@routes.delete("/{container}/{name:path}")
def delete_blob(container: str, name: str, request: Request, blobs: Blobs) -> Response:
    """Delete Blob."""
    blobs.delete(container, name)
    return Response(status_code=202, headers=_common(request))


def _put_block_blob(blobs: BlobStore, container: str, name: str, request: Request, file: Path) -> Response:
    if request.headers.get("x-ms-blob-type", "BlockBlob").casefold() != "blockblob":
        raise not_implemented("Put Blob of type", request.headers["x-ms-blob-type"])
    _refuse_overwriting(blobs, container, name, request)
    return _created(request, blobs.commit(file, container, name, **_properties(request, file)))


def _put_block(blobs: BlobStore, container: str, name: str, request: Request, file: Path) -> Response:
    blobs.stage(file, container, name, request.query_params.get("blockid", ""))
    return Response(status_code=201, headers=_common(request))


def _put_block_list(blobs: BlobStore, container: str, name: str, request: Request, file: Path) -> Response:
    _refuse_overwriting(blobs, container, name, request)
    ids = BLOCK_IDS.findall(file.read_text(errors="replace"))
    properties = {**_properties(request, None), "contentMd5": request.headers.get("x-ms-blob-content-md5", "")}
    return _created(request, blobs.commit_blocks(container, name, ids, **properties))


def _set_metadata(blobs: BlobStore, container: str, name: str, request: Request, _: Path) -> Response:
    blob = blobs.set_properties(container, name, metadata=_metadata(request))
    return Response(headers={**_common(request), **_written(blob)})


def _set_properties(blobs: BlobStore, container: str, name: str, request: Request, _: Path) -> Response:
    blob = blobs.set_properties(container, name, contentType=request.headers.get("x-ms-blob-content-type", ""))
    return Response(headers={**_common(request), **_written(blob)})


WRITES = {
    "": _put_block_blob,
    "block": _put_block,
    "blocklist": _put_block_list,
    "metadata": _set_metadata,
    "properties": _set_properties,
}


def _only(request: Request, **wanted: str) -> None:
    for name, value in wanted.items():
        if request.query_params.get(name, "").casefold() != value:
            raise not_implemented(f"{request.method} container without", f"{name}={value}")


def _refuse_overwriting(blobs: BlobStore, container: str, name: str, request: Request) -> None:
    if request.headers.get("if-none-match") == "*" and blobs.find(container, name):
        raise Fault(409, "BlobAlreadyExists", "The specified blob already exists.")


def _properties(request: Request, file: Path | None) -> dict[str, Any]:
    headers = request.headers
    digest = ""
    if file is not None:
        with file.open("rb") as stream:
            digest = base64.b64encode(hashlib.file_digest(stream, "md5").digest()).decode()
        if headers.get("content-md5", digest) != digest:
            message = (
                "The MD5 value specified in the request did not match with the MD5 value calculated by the server."
            )
            raise Fault(400, "Md5Mismatch", message)
    content_type = headers.get("x-ms-blob-content-type") or headers.get("content-type", "")
    return {"contentType": content_type, "contentMd5": digest, "metadata": _metadata(request)}


def _metadata(request: Request) -> dict[str, str]:
    pairs = request.headers.items()
    return {name.removeprefix(METADATA): value for name, value in pairs if name.startswith(METADATA)}


def _range(request: Request, size: int) -> tuple[int, int] | None:
    """Return the first byte asked for and the one after the last; None when all are, also in forms nobody knows."""
    asked = request.headers.get("x-ms-range") or request.headers.get("range") or ""
    match = RANGE.fullmatch(asked.strip())
    if not match:
        return None
    start, last = int(match["start"]), int(match["last"] or size)
    if start >= size or last < start:
        message = "The range specified is invalid for the current size of the resource."
        raise Fault(416, "InvalidRange", message, headers={"Content-Range": f"bytes */{size}"})
    return start, min(last + 1, size)


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
    headers |= {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available"}
    headers |= {METADATA + name: value for name, value in blob.metadata.items()}
    if blob.content_md5:
        headers["Content-MD5"] = headers["x-ms-blob-content-md5"] = blob.content_md5
    return headers


def _marker(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text).decode()
    except ValueError as error:
        raise Fault(400, "InvalidQueryParameterValue", "The marker is not one of ours.") from error


def _by_folder(found: list[Blob], prefix: str, delimiter: str) -> dict[str, Blob | None]:
    """Return the blobs by name; those below a common folder are one entry of its name, without a blob."""
    entries: dict[str, Blob | None] = {}
    for blob in found:
        folder, below, _ = blob.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        entries |= {f"{prefix}{folder}{delimiter}": None} if below else {blob.name: blob}
    return entries


def _listing(container: str, prefix: str, page: list[tuple[str, Blob | None]], marker: str) -> bytes:
    root = ET.Element("EnumerationResults", ContainerName=container)
    ET.SubElement(root, "Prefix").text = prefix
    blobs = ET.SubElement(root, "Blobs")
    for name, blob in page:
        entry = ET.SubElement(blobs, "Blob" if blob else "BlobPrefix")
        ET.SubElement(entry, "Name").text = name
        if blob is None:
            continue
        properties = ET.SubElement(entry, "Properties")
        for member, value in _listed(blob).items():
            ET.SubElement(properties, member).text = value
        metadata = ET.SubElement(entry, "Metadata")
        for member, value in blob.metadata.items():
            ET.SubElement(metadata, member).text = value
    ET.SubElement(root, "NextMarker").text = marker
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _listed(blob: Blob) -> dict[str, str]:
    modified = formatdate(blob.modified, usegmt=True)
    return {
        "Creation-Time": modified,
        "Last-Modified": modified,
        "Etag": blob.etag.strip('"'),
        "Content-Length": str(blob.size),
        "Content-Type": blob.content_type,
        "Content-MD5": blob.content_md5,
        "BlobType": "BlockBlob",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
    }
