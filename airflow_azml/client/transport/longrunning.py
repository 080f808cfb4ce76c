"""ARM's long-running operations.

An answer to PUT or DELETE tells in a header where to look for its end: ``Azure-AsyncOperation``, else ``Location``,
else the resource itself has a ``provisioningState``. :class:`Operation` is that address as plain strings, so it can be
kept in a database. :meth:`Operation.poll` looks once and never sleeps: how often to look is the caller's decision.

Status words and rules: https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_azml.client.transport.answers import retry_after_of
from airflow_azml.client.transport.errors import OperationFailedError
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from requests import Response

    from airflow_azml.client.transport.http import Transport

RUNNING, SUCCEEDED, FAILED, CANCELED = "InProgress", "Succeeded", "Failed", "Canceled"
UNKNOWN = "Unknown"
_TERMINAL = {"succeeded": SUCCEEDED, "failed": FAILED, "canceled": CANCELED, "cancelled": CANCELED}
# 404: the service has forgotten the operation, or does not know it yet. 403: operations belong to the subscription, on
# which a credential may have no role although it has one on the workspace.
_UNKNOWN_STATUSES = (403, 404)


@dataclass(frozen=True, slots=True)
class OperationState:
    """How far an operation is.

    :param status: ``InProgress``, ``Succeeded``, ``Failed`` or ``Canceled``; ``Unknown`` when the service does not know
        the operation, or does not show it to this credential: only the resource itself can tell then.
    :param error: why it failed, None otherwise.
    :param retry_after: seconds that the service asks to wait before the next look.
    """

    status: str
    error: OperationFailedError | None = None
    retry_after: float | None = None

    @property
    def done(self) -> bool:
        """Whether looking at the operation again will tell nothing new."""
        return self.status != RUNNING


class Operation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where to look for the end of an operation. msgspec turns it into JSON and back.

    :param url: the address to ask.
    :param kind: what stands there: an operation ``status``, or a ``location`` that answers 202 until it is done.
    :param retry_after: seconds that the first answer asked to wait.
    """

    url: str
    kind: Literal["status", "location"]
    retry_after: float | None = None

    @classmethod
    def started_by(cls, response: Response) -> Operation | None:
        """Read the answer to a PUT, PATCH, POST or DELETE; None when only the resource itself can tell how it goes."""
        headers, wait = response.headers, retry_after_of(response.headers)
        if headers.get("Azure-AsyncOperation"):
            return cls(headers["Azure-AsyncOperation"], "status", wait)
        return cls(headers["Location"], "location", wait) if headers.get("Location") else None

    def poll(self, transport: Transport) -> OperationState:
        """Look once. A foreign address is refused, as for every request with a token."""
        response = transport.request("GET", self.url, operation="get operation status", allow=_UNKNOWN_STATUSES)
        wait = retry_after_of(response.headers)
        if response.status_code in _UNKNOWN_STATUSES:
            return OperationState(UNKNOWN)
        if self.kind == "location" and response.status_code == 202:  # noqa: PLR2004 - HTTP's own word for "not yet"
            return OperationState(RUNNING, retry_after=wait)
        body = response.json() if response.content else {}
        return state_of(body, "get operation status", wait, default=SUCCEEDED if self.kind == "location" else RUNNING)


def state_of(body: Any, operation: str, retry_after: float | None = None, *, default: str = RUNNING) -> OperationState:
    """Read an operation's or a resource's JSON; HTTP 200 may well carry a failure."""
    fields = body if isinstance(body, dict) else {}
    properties = fields.get("properties") if isinstance(fields.get("properties"), dict) else {}
    word = fields.get("status") or (properties or {}).get("provisioningState")
    status = _TERMINAL.get(str(word).lower(), RUNNING) if word else default
    error = None
    if status in {FAILED, CANCELED}:
        reason = Reason.of({"error": fields["error"]}) if fields.get("error") else Reason(message=f"it ended as {word}")
        error = OperationFailedError(reason.message, operation=operation, code=reason.code, details=reason.details)
    return OperationState(status, error, retry_after)
