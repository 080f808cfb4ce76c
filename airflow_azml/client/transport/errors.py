"""What can go wrong, as exceptions that carry data.

The policy: ``permanent`` says whether the same call can ever succeed. A permanent error (bad request, forbidden, not
found, bad input) should fail the caller at once; any other may be retried, and ``cause`` says what a retry has to wait
for. An exception travels to another process as an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_azml.client.transport.causes import Cause, cause_of
from airflow_azml.client.transport.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_STOPS = (".", "!", "?", ":", ";")
"""What may stand before a remedy."""


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
    :param cause: what has to change before it can go well; by class, code and message when None.
    """

    permanent: bool = False
    remedy: str = ""
    usual_cause: ClassVar[Cause | None] = None
    """What errors of the class come from; None when only the service's words can tell."""

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
        cause: Cause | None = None,
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
        read = self._read_cause(code)
        if permanent is not None:
            self.permanent = permanent
        elif read.lacks_capacity:  # the service refuses it by a 400, yet it may be granted later
            self.permanent = False
        self.cause = cause or (Cause.USER if self.permanent else read)

    def _read_cause(self, code: str) -> Cause:
        """Return what the class tells, or the service's words where they may know better."""
        usual = self.usual_cause
        said = cause_of(code, self.message) if usual in {None, Cause.TRANSIENT} else Cause.UNKNOWN
        return said if usual is None or said.lacks_capacity else usual

    def __str__(self) -> str:
        reason = ": ".join(part for part in (self.code, self.message) if part) or "no reason given"
        status = f" (HTTP {self.status_code})" if self.status_code else ""
        said = f"{self.operation} failed{status}: {reason}" if self.operation else f"{reason}{status}"
        if self.remedy:
            said = f"{said}{'' if said.rstrip().endswith(_STOPS) else '.'} {self.remedy}"
        return f"{said}\nRequest id: {self.request_id}" if self.request_id else said


class AuthenticationError(AzureMLError):
    """No token, or a token that the service does not accept."""

    permanent = True
    usual_cause = Cause.TRANSIENT  # where it is not permanent
    remedy = "Check tenant, client id, client secret and its expiry."


class PermissionDeniedError(AzureMLError):
    """The credential is known but may not do this (403)."""

    permanent = True
    usual_cause = Cause.USER
    remedy = (
        "The service principal needs the role 'AzureML Data Scientist' on the workspace, and 'AzureML Compute "
        "Operator' to create or delete compute. A new role assignment can take some minutes to work."
    )


class NotFoundError(AzureMLError):
    """There is no such thing (404)."""

    permanent = True
    usual_cause = Cause.USER


class ConflictError(AzureMLError):
    """The thing is in a state, or in use, that forbids this (409, 412). States change: a retry may help."""

    usual_cause = Cause.TRANSIENT


class NotOwnedError(ConflictError):
    """What has our id carries the tags of another task: it is neither adopted nor cancelled."""

    permanent = True
    usual_cause = Cause.USER
    remedy = (
        "If its tags or the connection's namespace were changed meanwhile, change them back; or clear the task, which "
        "gives it a new id."
    )


class InvalidRequestError(AzureMLError):
    """The service understood the request and refuses it (400, 422 and other 4xx)."""

    permanent = True


class ThrottledError(AzureMLError):
    """Too many requests (429); ``retry_after`` holds the seconds that the service asks for."""

    usual_cause = Cause.THROTTLED


class ServiceError(AzureMLError):
    """The service failed (5xx, 408) or answered something that is no answer."""

    usual_cause = Cause.TRANSIENT


class ModelError(AzureMLError):
    """The container of a deployment did not answer 200 (424): the model, not Azure ML, failed or refused it."""

    usual_cause = Cause.TRANSIENT  # where it failed; what it refused stays refused


class ConnectionFailedError(AzureMLError):
    """No answer: name, connection, TLS or time.

    ``sent`` is False when it is certain that the request did not reach the service.
    """

    sent: bool = True
    usual_cause = Cause.TRANSIENT


class AnswerBrokeOffError(ConnectionFailedError):
    """An answer that began and did not end."""


class UntrustedHostError(AzureMLError):
    """A token or key was about to be sent to a host that is not of the configured cloud. Nothing was sent."""

    permanent = True
    usual_cause = Cause.USER
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
    usual_cause = Cause.USER
    field: str = ""
    value: object = None
    rule: str = ""

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


_FIELDS = (
    "message",
    "operation",
    "status_code",
    "code",
    "request_id",
    "url",
    "details",
    "retry_after",
    "remedy",
    "permanent",
    "cause",
)


def to_event(error: AzureMLError) -> dict[str, Any]:
    """Return the error as plain JSON, to be raised again in another process."""
    return {"type": type(error).__name__, **{name: getattr(error, name) for name in _FIELDS}, "cause": str(error.cause)}


def from_event(event: Mapping[str, Any]) -> AzureMLError:
    """Read what :func:`to_event` wrote, be it of another release: a class that is not known is an AzureMLError."""
    kind = next((kind for kind in _family(AzureMLError) if kind.__name__ == event.get("type")), AzureMLError)
    error = kind.__new__(kind)
    fields = {name: event[name] for name in _FIELDS if name in event}
    fields["details"] = tuple((code, text) for code, text in fields.get("details") or ())
    fields["cause"] = Cause(fields["cause"]) if fields.get("cause") in {*Cause} else None
    AzureMLError.__init__(error, **fields)  # a subclass may take other arguments, which are in the message by now
    return error


def _family(kind: type[AzureMLError]) -> Iterator[type[AzureMLError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)
