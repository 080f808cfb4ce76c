"""What an error answer says, whatever its envelope.

The one place that understands the service's error bodies: ARM, the data plane with its nested ``innerError``, flat
model management, blob XML, plain text, and nothing at all. It knows no status and no exception.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_azml.client.transport.causes import Cause, cause_of
from airflow_azml.client.transport.redact import excerpt, redact


class Reason:
    """Code, message and details found in an error body, whatever its envelope."""

    _XML_CODE: ClassVar = ("<Code>", "</Code>")
    _XML_MESSAGE: ClassVar = ("<Message>", "</Message>")

    def __init__(
        self,
        code: str = "",
        message: str = "",
        details: tuple[tuple[str, str], ...] = (),
        request_id: str = "",
        kind: str = "",
    ) -> None:
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id
        self.kind = kind

    @property
    def text(self) -> str:
        """Code and message."""
        return ": ".join(part for part in (self.code, self.message) if part)

    @property
    def cause(self) -> Cause:
        """Why it failed; the outermost code, such as UserError, counts where nothing else is known."""
        said = cause_of(self.code, self.message)
        return cause_of(self.kind) if said is Cause.UNKNOWN else said

    @classmethod
    def of(cls, body: str | object) -> Reason:
        """Read an error body: text as it came, or JSON that is parsed already."""
        if isinstance(body, str):
            body = _parsed(body)
        if isinstance(body, dict):
            return cls._of_envelope(body)
        text = excerpt(body if isinstance(body, str) else str(body or "")).strip()
        if "<Code>" in text:
            return cls(_between(text, *cls._XML_CODE), _between(text, *cls._XML_MESSAGE).split("\n")[0])
        return cls(message=text)

    @classmethod
    def _of_envelope(cls, body: dict[str, Any]) -> Reason:
        root: Any = body
        while isinstance(root, dict) and root.get("error"):  # 2018-11-19 wraps twice: error.error
            root = root["error"]
        if not isinstance(root, dict):  # OAuth: {"error": "invalid_client", "error_description": "AADSTS..."}
            return cls(str(root), str(body.get("error_description") or body.get("message") or ""))
        deepest = _deepest(root)
        rows = [row for row in root.get("details") or () if isinstance(row, dict)]
        details = tuple((str(row.get("code") or ""), redact(str(row.get("message") or ""))) for row in rows)
        message = str(deepest.get("message") or root.get("message") or "")
        extra = [text for _, text in details if text and text not in message]
        correlation = body.get("correlation")
        request_id = (
            str(correlation.get("RequestId") or correlation.get("request") or "")
            if isinstance(correlation, dict)
            else ""
        )
        code = str(deepest.get("code") or root.get("code") or "")
        return cls(
            code,
            redact(" ".join([message, *extra]).strip()) or ("" if code else excerpt(str(body))),
            details,
            request_id,
            kind=str(root.get("code") or ""),
        )


def _deepest(root: dict[str, Any]) -> dict[str, Any]:
    inner = next((root[key] for key in ("innerError", "innererror") if isinstance(root.get(key), dict)), None)
    return _deepest(inner) if inner and inner.get("code") else root


def _parsed(body: str) -> object:
    import json  # noqa: PLC0415 - only needed once something has failed

    try:
        return json.loads(body)
    except ValueError:
        return body


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
