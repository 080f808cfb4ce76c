"""Requests to the blob service: what they may ask for, and what they say of a blob.

A header or parameter by which a request asks for something else than the plain operation (a copy, a version, a lease,
a key of its own) is refused by name: answering as if it were not there would be a success that is none.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, not_implemented

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

METADATA = "x-ms-meta-"
METADATA_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
MAX_RESULTS = 5000
PARAMETERS = frozenset({"endbefore", "snapshot", "startfrom", "versionid"})
HEADERS = frozenset({
    "x-ms-access-tier", "x-ms-blob-content-length", "x-ms-blob-public-access", "x-ms-content-crc64",
    "x-ms-copy-source", "x-ms-default-encryption-scope", "x-ms-encryption-key", "x-ms-encryption-scope",
    "x-ms-expiry-option", "x-ms-if-tags", "x-ms-immutability-policy-mode", "x-ms-immutability-policy-until-date",
    "x-ms-lease-id", "x-ms-legal-hold", "x-ms-range-get-content-crc64", "x-ms-range-get-content-md5",
    "x-ms-rehydrate-priority", "x-ms-seal-blob", "x-ms-structured-body", "x-ms-tags",
})  # fmt: skip
INCLUDED = frozenset(
    {
        "copy",
        "deleted",
        "deletedwithversions",
        "immutabilitypolicy",
        "legalhold",
        "metadata",
        "permissions",
        "snapshots",
        "tags",
        "versions",
    }
)  # fmt: skip - there are no copies, snapshots, tags ... here: a list with them is the list without them
KEPT = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
}


def check(query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Refuse a request that asks for what the emulator does not do."""
    for kind, wanted, known in (("parameter", query, PARAMETERS), ("header", headers, HEADERS)):
        for name, value in wanted.items():
            if name.casefold() in known:
                raise not_implemented(f"the {kind} of the blob service", f"'{name}: {value}'")
    if headers.get("x-ms-delete-snapshots", "include").casefold() != "include":
        raise not_implemented("Delete Blob with", "'x-ms-delete-snapshots: only'")


def properties(headers: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    """Return what a request says of the blob that it writes.

    :param file: its content, whose MD5 is checked and kept; None when the request has other content.
    """
    named = "x-ms-blob-content-md5"
    digest = headers.get(named, "") if file is None else checked_md5(headers, file, named)
    plain = {} if file is None else headers  # the plain headers are about the request's own body
    kept = {name: headers.get(f"x-ms-blob-{key}") or plain.get(key, "") for key, name in KEPT.items()}
    return {
        "contentType": headers.get("x-ms-blob-content-type") or plain.get("content-type", ""),
        "contentMd5": digest,
        "headers": {name: value for name, value in kept.items() if value},
        "metadata": metadata(headers),
    }


def http_properties(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return what Set Blob Properties sets: what it does not name is cleared."""
    return {name: value for name, value in properties(headers, None).items() if name != "metadata"}


def checked_md5(headers: Mapping[str, str], file: Path, *further: str) -> str:
    """Return the MD5 of the body; refuse a body that is not the one that the client has hashed."""
    with file.open("rb") as stream:
        digest = base64.b64encode(hashlib.file_digest(stream, "md5").digest()).decode()
    if any(headers.get(name, digest) != digest for name in ("content-md5", *further)):
        message = "The MD5 value specified in the request did not match with the MD5 value calculated by the server."
        raise Fault(400, "Md5Mismatch", message)
    return digest


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a request sets; its names must be identifiers."""
    found = {name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)}
    if wrong := [name for name in found if not METADATA_NAME.fullmatch(name)]:
        message = f"The metadata specified is invalid. It has characters that are not permitted: '{wrong[0]}'."
        raise Fault(400, "InvalidMetadata", message)
    return found


def page_size(query: Mapping[str, str]) -> int:
    """Return how many entries of a list are wanted at most."""
    text = query.get("maxresults", str(MAX_RESULTS))
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise _bad_parameter("InvalidQueryParameterValue", "maxresults", text)
    if int(text) < 1:
        raise _bad_parameter("OutOfRangeQueryParameterValue", "maxresults", text)
    return min(int(text), MAX_RESULTS)


def included(query: Mapping[str, str]) -> set[str]:
    """Return what a list is to include beside the blobs."""
    wanted = {name for name in query.get("include", "").casefold().split(",") if name}
    if "uncommittedblobs" in wanted:
        raise not_implemented("List Blobs with", "include=uncommittedblobs")
    if unknown := wanted - INCLUDED:
        raise _bad_parameter("InvalidQueryParameterValue", "include", ",".join(unknown))
    return wanted


def marker(query: Mapping[str, str]) -> str:
    """Return the name at which a list goes on."""
    try:
        return base64.b64decode(query.get("marker", ""), b"-_", validate=True).decode()
    except ValueError as error:
        raise _bad_parameter("InvalidQueryParameterValue", "marker", query["marker"]) from error


def next_marker(name: str) -> str:
    """Return the marker of a list that goes on at a name."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def _bad_parameter(code: str, name: str, value: str) -> Fault:
    return Fault(400, code, f"The query parameter '{name}' of the request URI cannot be '{value}'.")
