"""What can go wrong, as exceptions that carry data.

The policy: ``permanent`` says whether the same call can ever succeed. A permanent error (bad request, forbidden, not
found, bad input) should fail the caller at once; any other may be retried. :func:`error_from` is the one place that
understands the service's error answers: ARM, the data plane with its nested ``innerError``, flat model management,
blob XML, plain text, and nothing at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_azml.client.redact import excerpt, redact

if TYPE_CHECKING:
    from collections.abc import Mapping


_STOPS = (".", "!", "?", ":", ";", "]")
"""What may stand before a remedy; the bracket is that of the request id."""


class AzureMLError(Exception):
    """Anything that Azure ML, or the way to it, did not do.

    :param message: the service's own reason: its deepest understood message.
    :param operation: what was attempted, in words: ``"get run train-1"``.
    :param status_code: HTTP status of the answer, None when there was none.
    :param code: the service's error code, the deepest ``innerError``.
    :param request_id: the service's id of the request, for Azure support.
    :param url: the address, without secrets.
    :param details: further (code, message) pairs of the service.
    :param retry_after: seconds that the service asks to wait.
    :param remedy: what a person can do about it.
    :param permanent: overrides the class's answer to "can a retry help?".
    """

    permanent: bool = False
    remedy: str = ""

    def __init__(
        self,
        message: str = "",
        *,
        operation: str = "",
        status_code: int | None = None,
        code: str = "",
        request_id: str = "",
        url: str = "",
        details: tuple[tuple[str, str], ...] = (),
        retry_after: float | None = None,
        remedy: str | None = None,
        permanent: bool | None = None,
    ) -> None:
        self.message = redact(message)
        super().__init__(self.message)
        self.operation = operation
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.url = redact(url)
        self.details = details
        self.retry_after = retry_after
        if remedy is not None:
            self.remedy = remedy
        if permanent is not None:
            self.permanent = permanent

    def __str__(self) -> str:
        reason = ": ".join(part for part in (self.code, self.message) if part) or "no reason given"
        status = f" (HTTP {self.status_code})" if self.status_code else ""
        said = f"{self.operation} failed{status}: {reason}" if self.operation else f"{reason}{status}"
        request = f" [request id {self.request_id}]" if self.request_id else ""
        said = f"{said}{request}"
        if not self.remedy:
            return said
        return f"{said}{'' if said.rstrip().endswith(_STOPS) else '.'} {self.remedy}"


class AuthenticationError(AzureMLError):
    """No token, or a token that the service does not accept."""

    permanent = True
    remedy = "Check tenant, client id, client secret and its expiry."


class PermissionDeniedError(AzureMLError):
    """The credential is known but may not do this (403)."""

    permanent = True
    remedy = (
        "The service principal needs the role 'AzureML Data Scientist' on the workspace, and 'AzureML Compute "
        "Operator' to create or delete compute. A new role assignment can take some minutes to work."
    )


class NotFoundError(AzureMLError):
    """There is no such thing (404)."""

    permanent = True


class ConflictError(AzureMLError):
    """The thing is in a state, or in use, that forbids this (409, 412). States change: a retry may help."""


class InvalidRequestError(AzureMLError):
    """The service understood the request and refuses it (400, 422 and other 4xx)."""

    permanent = True


class ThrottledError(AzureMLError):
    """Too many requests (429); ``retry_after`` holds the seconds that the service asks for."""


class ServiceError(AzureMLError):
    """The service failed (5xx, 408) or answered something that is no answer."""


class ConnectionFailedError(AzureMLError):
    """No answer: name, connection, TLS or time.

    ``sent`` is False when it is certain that the request did not reach the service.
    """

    sent: bool = True


class UntrustedHostError(AzureMLError):
    """A token or key was about to be sent to a host that is not of the configured cloud. Nothing was sent."""

    permanent = True
    remedy = "If the host is right, configure the cloud (or the custom cloud's trusted hosts) in the connection."


class OperationFailedError(AzureMLError):
    """A long-running operation or a run came to its end, and the end is failure."""


class InputError(AzureMLError, ValueError):
    """A value that is wrong before anything is sent.

    :param field: which parameter.
    :param value: its value.
    :param rule: what it must be, or what to do.
    """

    permanent = True

    def __init__(self, field: str, value: object = None, rule: str = "") -> None:
        given = "" if value is None else f" {value!r}"
        super().__init__(f"{field}{given}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule
        # An exception is pickled as its class and these arguments.
        self.args = (field, value, rule)

    def __str__(self) -> str:
        return self.message


_BY_STATUS: dict[int, type[AzureMLError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServiceError,
    409: ConflictError,
    412: ConflictError,
    429: ThrottledError,
}
_REQUEST_ID_HEADERS = ("x-ms-request-id", "x-ms-correlation-request-id", "x-request-id", "apim-request-id")


def error_from(
    *,
    operation: str,
    status: int,
    headers: Mapping[str, str],
    body: str,
    url: str = "",
    retry_after: float | None = None,
) -> AzureMLError:
    """Turn any error answer of any plane into the exception for its status.

    :param headers: of the answer; looked up case-insensitively when the mapping does so (requests' does).
    """
    reason = Reason.of(body)
    kind = _BY_STATUS.get(status) or (ServiceError if status >= 500 else InvalidRequestError)  # noqa: PLR2004 - HTTP's own
    return kind(
        reason.message or headers.get("ms-azureml-model-error-reason", ""),
        operation=operation,
        status_code=status,
        code=reason.code or headers.get("x-ms-error-code", ""),
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), reason.request_id),
        url=url,
        details=reason.details,
        retry_after=retry_after,
        permanent=True if status == 501 else None,  # noqa: PLR2004 - not implemented: no retry will help
    )


class Reason:
    """Code, message and details found in an error body, whatever its envelope."""

    _XML_CODE: ClassVar = ("<Code>", "</Code>")
    _XML_MESSAGE: ClassVar = ("<Message>", "</Message>")

    def __init__(
        self, code: str = "", message: str = "", details: tuple[tuple[str, str], ...] = (), request_id: str = ""
    ) -> None:
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id

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
