"""What a request for a blob demands or asks of it: conditions and ranges, as the Blob service REST API words them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from airflow_azml.emulator.http.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_azml.emulator.storage.blobs import Blob

ANY = "*"
RANGE = re.compile(r"bytes=(?P<start>\d{1,18})-(?P<last>\d{0,18})")
ETAGS = re.compile(r'(?:W/)?("[^"]*"|[^\s,"]+)')


class NotModifiedError(Exception):
    """A reader has the blob already: the answer is a 304."""


def check(headers: Mapping[str, str], blob: Blob | None, *, reading: bool) -> None:
    """Refuse a request whose conditions the blob does not meet; an ETag outweighs a time.

    Raises the 412 of the service, the 409 of a blob that must not exist, and NotModifiedError.
    """
    match, other = headers.get("if-match"), headers.get("if-none-match")
    since, until = _time(headers, "if-modified-since"), _time(headers, "if-unmodified-since")
    if match is not None and not _named(match, blob):
        raise _not_met()
    if match is None and until is not None and blob and int(blob.modified) > until.timestamp():
        raise _not_met()
    if other == ANY and blob and not reading:
        raise Fault(409, "BlobAlreadyExists", "The specified blob already exists.")
    unchanged = since is not None and blob is not None and int(blob.modified) <= since.timestamp()
    if _named(other, blob) if other is not None else unchanged:
        raise NotModifiedError if reading else _not_met()


def byte_range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """Return the first byte asked for and the one after the last; None when all are, also in forms nobody knows."""
    asked = headers.get("x-ms-range") or headers.get("range") or ""
    match = RANGE.fullmatch(asked.strip())
    if not match:
        return None
    start, last = int(match["start"]), int(match["last"] or size)
    if start >= size or last < start:
        message = "The range specified is invalid for the current size of the resource."
        raise Fault(416, "InvalidRange", message, headers={"Content-Range": f"bytes */{size}"})
    return start, min(last + 1, size)


def _named(etags: str, blob: Blob | None) -> bool:
    if blob is None:
        return False
    return etags.strip() == ANY or blob.etag.strip('"') in {etag.strip('"') for etag in ETAGS.findall(etags)}


def _time(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        return parsedate_to_datetime(headers[name]) if name in headers else None
    except ValueError as error:
        message = f"The value for one of the HTTP headers is not in the correct format: {name}."
        raise Fault(400, "InvalidHeaderValue", message) from error


def _not_met() -> Fault:
    message = "The condition specified using HTTP conditional header(s) is not met."
    return Fault(412, "ConditionNotMet", message)
