"""JSON that every receiver can read: what is sent, what an answer holds, and what Airflow's database can keep.

JSON has no NaN, PostgreSQL takes no NUL, and half of a surrogate pair is no character in UTF-8. What is to be sent must
not hold such values; what was received is changed as little as can be.
"""

from __future__ import annotations

import base64
import json
import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import Response

_TEXT = re.compile(r"(?i)text/|application/(\S*\+)?(json|xml|javascript|yaml|x-yaml|x-www-form-urlencoded|x-ndjson)\b")
_UNKNOWN = re.compile(r"(?i)(application/octet-stream)?")
_CHARSET = re.compile(r"""(?i);\s*charset=["']?([\w.:-]+)""")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def encode(value: Any, field: str) -> bytes:
    """Return the JSON that is sent, or raise InputError naming what JSON cannot hold.

    :param field: what the value is, for the error.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError):  # of which UnicodeEncodeError is one
        path, culprit = next(_unsendable(value), ("", value))
        rule = f"cannot be sent: JSON has no such value (it is a {type(culprit).__name__})"
        raise InputError(f"{field}{path}", _shown(culprit), rule) from None


def storable(value: Any) -> Any:
    """Return JSON that XCom, an event and any database can keep: the one conversion for whatever goes there.

    Numbers that are none become their names (``"NaN"``, ``"Infinity"``, ``"-Infinity"``), which `float()` reads. A NUL
    and half of a surrogate pair are replaced: what a script prints gets into errors, and names of metrics and tags are
    anybody's.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    return [storable(each) for each in value] if isinstance(value, list | tuple) else value


def content_of(response: Response) -> Any:
    """Return what an answer holds: JSON, text, or binary data as ``{"content_type": ..., "base64": ...}``."""
    content, declared = response.content, response.headers.get("Content-Type") or ""
    with suppress(ValueError):
        return json.loads(content)  # UTF-8, UTF-16 or UTF-32, with a byte order mark or without
    if _TEXT.match(declared) or _CHARSET.search(declared):
        return decoded(content, declared)
    with suppress(UnicodeDecodeError):
        text = content.decode("utf-8-sig")
        if _UNKNOWN.fullmatch(declared) and not _CONTROL.search(text):
            return text
    media_type = declared.partition(";")[0].strip() or "application/octet-stream"
    return {"content_type": media_type, "base64": base64.b64encode(content).decode("ascii")}


def decoded(content: bytes, declared: str) -> str:
    """Return content as text: by the charset of its Content-Type, else UTF-8, which is what HTTP's media types mean."""
    charset = _CHARSET.search(declared)
    try:
        return content.decode(charset[1] if charset else "utf-8-sig", "replace")
    except LookupError:  # no charset of that name
        return content.decode("utf-8-sig", "replace")


def _unsendable(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values that JSON cannot hold, each with its place."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _unsendable(each, f"{path}.{name}")
            if not isinstance(name, str | int | float | None) or not _is_sendable(name):
                yield f"{path}.{name!r}", name
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _unsendable(each, f"{path}[{index}]")
    elif not _is_sendable(value):
        yield path, value


def _is_sendable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    return repr(value)[:100]
