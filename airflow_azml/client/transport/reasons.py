"""What an error answer says, whatever its envelope.

The one place that understands the service's error bodies: ARM, the data plane with its nested ``innerError``, flat
model management, blob XML, a gateway's HTML, plain text, and nothing at all. It knows no status and no exception.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any, Self

from airflow_azml.client.transport.causes import Cause, cause_of
from airflow_azml.client.transport.redact import excerpt, redact

_INVISIBLE = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>")
_PAGE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Reason:
    """Code, message and details found in an error body.

    :param code: the deepest one of the chain of inner errors.
    :param message: the deepest one, with those of the details.
    :param details: further (code, message) pairs.
    :param request_id: the service's id of the request.
    :param kind: the outermost code, such as ``UserError``.
    """

    code: str = ""
    message: str = ""
    details: tuple[tuple[str, str], ...] = ()
    request_id: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        """Code and message."""
        return ": ".join(part for part in (self.code, self.message) if part)

    @property
    def cause(self) -> Cause:
        """Why it failed; the outermost code counts where nothing else is known."""
        said = cause_of(self.code, self.message)
        return cause_of(self.kind) if said is Cause.UNKNOWN else said

    @classmethod
    def of(cls, body: str | object) -> Self:
        """Read an error body: text as it came, or JSON that is parsed already."""
        if isinstance(body, str):
            body = _parsed(body)
        if isinstance(body, dict):
            return cls._of_envelope(body)
        text = str(body or "").strip()
        if "<Code>" in text:
            code, message = _between(text, "<Code>", "</Code>"), _between(text, "<Message>", "</Message>")
            return cls(code, redact(message.split("\n")[0]))
        if re.match(r"(?i)<(!doctype html|html|head|body)\b", text):
            return cls(message=_text_of_page(text))
        return cls(message=excerpt(text))

    @classmethod
    def _of_envelope(cls, body: dict[str, Any]) -> Self:
        root: Any = body
        while isinstance(root, dict) and root.get("error"):  # 2018-11-19 wraps twice: error.error
            root = root["error"]
        if not isinstance(root, dict):  # OAuth: {"error": "invalid_client", "error_description": "AADSTS..."}
            return cls(str(root), redact(str(body.get("error_description") or body.get("message") or "")))
        deepest = _deepest(root)
        rows = [row for row in root.get("details") or () if isinstance(row, dict)]
        details = tuple((str(row.get("code") or ""), redact(str(row.get("message") or ""))) for row in rows)
        message = str(deepest.get("message") or root.get("message") or "")
        extra = [text for _, text in details if text and text not in message]
        code = str(deepest.get("code") or root.get("code") or "")
        return cls(
            code,
            redact(" ".join([message, *extra]).strip()) or ("" if code else excerpt(str(body))),
            details,
            _request_id(body.get("correlation")) or _request_id(_additional(root, "Correlation")),
            kind=str(root.get("code") or ""),
        )


def _deepest(root: dict[str, Any]) -> dict[str, Any]:
    """Return the innermost error that has a code.

    The data plane nests it in ``innerError``. Resource Manager has no place for it, so the service puts the same chain
    into ``additionalInfo``.
    """
    nested = (root.get("innerError"), root.get("innererror"), _additional(root, "InnerError"))
    inner = next((error for error in nested if isinstance(error, dict) and error.get("code")), None)
    return _deepest(inner) if inner else root


def _additional(root: dict[str, Any], kind: str) -> Any:
    """Return the value of ``additionalInfo`` of a type: ``{"type": kind, "info": {"value": ...}}``."""
    rows = root.get("additionalInfo")
    infos = [row.get("info") for row in rows if isinstance(row, dict) and row.get("type") == kind] if rows else []
    return next((info.get("value") for info in infos if isinstance(info, dict)), None)


def _request_id(correlation: object) -> str:
    found = correlation if isinstance(correlation, dict) else {}
    return str(found.get("RequestId") or found.get("request") or "")


def _text_of_page(page: str) -> str:
    """Return the beginning of what a reader sees of an HTML page: a gateway's ``502 Bad Gateway``."""
    return excerpt(" ".join(html.unescape(_INVISIBLE.sub(" ", page)).split()), _PAGE_CHARACTERS)


def _parsed(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
