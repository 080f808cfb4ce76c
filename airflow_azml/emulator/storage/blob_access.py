"""Who may read and write blobs: shared access signatures and shared keys, signed as the storage service signs them.

Both follow the storage REST API's pages "Create a service SAS" (version 2020-12-06) and "Authorize with Shared Key",
so that a client that holds the account's key can make its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow_azml.emulator.http import addresses
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "2021-08-06"
SIGNED = (
    "sp", "st", "se", "@resource", "si", "sip", "spr", "sv", "sr", "snapshot", "ses",
    "rscc", "rscd", "rsce", "rscl", "rsct",
)  # fmt: skip
SHARED_KEY_HEADERS = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


def signed_url(base: str, container: str, name: str, permissions: str, hours: float) -> str:
    """Return the URL of a blob (or, without a name, of the container) with its signature."""
    expiry = datetime.now(UTC) + timedelta(hours=hours)
    query = {"sv": VERSION, "se": f"{expiry:%Y-%m-%dT%H:%M:%SZ}", "sr": "b" if name else "c", "sp": permissions}
    query["sig"] = _signature(query, container, name)
    path = quote(f"{container}/{name}".rstrip("/"))
    return f"{addresses.blobs(base)}/{path}?{urlencode(query)}"


def check_signature(query: Mapping[str, str], container: str, name: str, permission: str) -> None:
    """Refuse a request whose SAS is forged, expired, for something else or without one of the permissions asked."""
    signed_name = name if query.get("sr") == "b" else ""
    if not hmac.compare_digest(query["sig"].encode(), _signature(query, container, signed_name).encode()):
        raise _refused("Signature did not match.")
    if _instant(query.get("se", "")) < datetime.now(UTC) or _instant(query.get("st") or "2000-01-01") > datetime.now(
        UTC
    ):
        raise _refused("Signed expiry time must be after the time of the request, signed start before it.")
    if not set(query.get("sp", "")) & set(permission):
        message = "This request is not authorized to perform this operation using this permission."
        raise Fault(403, "AuthorizationPermissionMismatch", message)


def check_shared_key(method: str, raw_path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Refuse a request whose `Authorization: SharedKey account:signature` is not right."""
    fields = [headers.get(name, "") for name in SHARED_KEY_HEADERS]
    fields[2] = "" if fields[2] == "0" else fields[2]
    own = sorted(f"{name}:{value}" for name, value in headers.items() if name.startswith("x-ms-"))
    resource = [f"/{facts.STORAGE_ACCOUNT}{raw_path}", *sorted(f"{name}:{value}" for name, value in query.items())]
    expected = f"SharedKey {facts.STORAGE_ACCOUNT}:{_hmac([method, *fields, *own, *resource])}"
    if not hmac.compare_digest(headers.get("authorization", "").encode(), expected.encode()):
        raise _refused("The MAC signature found in the HTTP request is not the same as any computed signature.")


def _signature(query: Mapping[str, str], container: str, name: str) -> str:
    resource = f"/blob/{facts.STORAGE_ACCOUNT}/{container}/{name}".rstrip("/")
    return _hmac([resource if field == "@resource" else query.get(field, "") for field in SIGNED])


def _hmac(lines: list[str]) -> str:
    key = base64.b64decode(facts.STORAGE_KEY)
    return base64.b64encode(hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256)).decode()


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refused(f"'{text}' is no time.") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _refused(reason: str) -> Fault:
    message = (
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
        f"including the signature. {reason}"
    )
    return Fault(403, "AuthenticationFailed", message)
