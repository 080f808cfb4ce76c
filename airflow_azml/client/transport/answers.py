"""Read an answer: why it is an error, and how long the service asks to wait.

The status decides which exception an error answer becomes, unless the service's own code knows better: a gateway's 502
may be a refusal by the network's rules, a 409 may be a lock that no retry opens.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow_azml.client.transport.causes import Cause, cause_of
from airflow_azml.client.transport.errors import (
    AuthenticationError,
    AzureMLError,
    ConflictError,
    InvalidRequestError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    ThrottledError,
)
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_FOUND, _THROTTLED, _FAILED_DEPENDENCY, _SERVER_ERROR, _NOT_IMPLEMENTED = 404, 429, 424, 500, 501
_PASSING = frozenset({408, 425, 429})
"""Refusals of a container that a later request need not meet."""
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints (HTTP status codes)
_MODEL_STATUS, _MODEL_REASON = "ms-azureml-model-error-statuscode", "ms-azureml-model-error-reason"
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
_NETWORK = re.compile(
    r"(?i)private[ -]?(link|endpoint)|public (network )?access|\bforbidden ?by ?(firewall|connection)\b|"
    r"\bvirtual network\b|\bfirewall\b|\bIP address\b.{0,60}\bnot allowed\b|\bnetwork (rule|acl)s?\b"
)
"""https://github.com/MicrosoftDocs/azure-docs/issues/90426 is such a refusal: a 502 with the code UserError."""
_NETWORK_REMEDY = (
    "The network's rules refuse this machine; no role helps. Run the worker in the workspace's network, or allow its "
    "address or public access in the networking settings of the workspace."
)
_REFUSALS: tuple[tuple[re.Pattern[str], type[AzureMLError], str], ...] = (
    (
        re.compile(r"\bRequestDisallowedBy(Policy|Azure)\b|\bPolicyViolation\b"),
        PermissionDeniedError,
        "An Azure Policy forbids this; no role helps. Change what the policy names, or ask for an exemption.",
    ),
    (
        re.compile(r"\bScopeLocked\b"),
        ConflictError,
        "A lock on the resource, its group or its subscription forbids this: remove the lock (`az lock list`).",
    ),
    (
        re.compile(r"\b(ReadOnly)?DisabledSubscription\b|\bSubscriptionDisabled\b"),
        PermissionDeniedError,
        "The subscription is disabled: enable it again.",
    ),
    (
        re.compile(r"\bMissingSubscriptionRegistration\b|\bSubscriptionNotRegistered\b"),
        InvalidRequestError,
        "Register the resource provider: `az provider register --namespace Microsoft.MachineLearningServices`.",
    ),
    (
        re.compile(r"\bUnAuthorized\w*Access\b|\b(Linked)?AuthorizationFailed\b|\bLinkedAccessCheckFailed\b"),
        PermissionDeniedError,
        PermissionDeniedError.remedy,
    ),
)
"""Codes of refusals that stay, whatever the status: the exception, and what to do.

https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
"""
_REQUEST_ID_HEADERS = ("x-ms-request-id", "x-ms-correlation-request-id", "x-request-id", "apim-request-id")
_SECONDS = re.compile(r"(?i)\b(?:after|wait|again|in)\D{0,30}?(\d{1,4})\s*s(?:ec(?:ond)?s?)?\b")


def error_from(*, operation: str, status: int, headers: Mapping[str, str], body: str, url: str = "") -> AzureMLError:
    """Turn any error answer of any plane into its exception.

    :param headers: of the answer; looked up case-insensitively when the mapping does so (requests' does).
    """
    reason = Reason.of(body)
    code = reason.code or headers.get("x-ms-error-code", "")
    message = reason.message or headers.get(_MODEL_REASON, "")
    if status == _NOT_FOUND and not (code or message):  # what Azure ML answers for a compute
        message = f"'{'/'.join(unquote(urlsplit(url).path).split('/')[-2:])}' does not exist"
    kind, permanent, remedy = _read(status, code, reason)
    if status == _FAILED_DEPENDENCY:
        kind, permanent, message = _of_model(headers, message)
    return kind(
        message,
        operation=operation,
        status_code=status,
        code=code,
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), reason.request_id),
        url=url,
        details=reason.details,
        retry_after=_wait(status, headers, reason.message),
        remedy=remedy,
        permanent=permanent,
    )


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait: milliseconds, seconds or a date."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if _is_number(headers.get(name)):
            return max(0.0, float(headers[name]) / 1000)
    value = headers.get("Retry-After")
    if value is None:
        return None
    if _is_number(value):
        return max(0.0, float(value))
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _read(status: int, code: str, reason: Reason) -> tuple[type[AzureMLError], bool | None, str | None]:
    """Return the class of the exception, whether it is permanent and its remedy; None leaves these to the class."""
    kind = _BY_STATUS.get(status) or (ServiceError if status >= _SERVER_ERROR else InvalidRequestError)
    codes = " ".join([code, reason.kind, *(detail for detail, _ in reason.details)])
    cause = cause_of(codes)
    refused = kind is ServiceError and cause is Cause.USER  # a gateway passes on somebody's refusal
    if (kind is PermissionDeniedError or refused) and _NETWORK.search(f"{codes} {reason.message}"):
        return PermissionDeniedError, True, _NETWORK_REMEDY
    for said, refusal, remedy in _REFUSALS:
        if said.search(codes):
            return refusal, True, remedy
    if refused:
        return InvalidRequestError, True, None
    if kind is InvalidRequestError and cause in {Cause.TRANSIENT, Cause.THROTTLED}:
        return (ThrottledError if cause is Cause.THROTTLED else ServiceError), False, None
    return kind, True if status == _NOT_IMPLEMENTED else None, None


def _of_model(headers: Mapping[str, str], message: str) -> tuple[type[AzureMLError], bool, str]:
    """Return the class, the permanence and the message of a 424: its headers say what the model's container answered.

    A container that is late or overloaded may answer the next time; any other refusal stays one. Without a header
    nobody knows, so that another try may help.
    """
    answered = headers.get(_MODEL_STATUS, "")
    if not answered.isdigit():
        return (ModelError if headers.get(_MODEL_REASON) else ServiceError), False, message
    refused = int(answered) < _SERVER_ERROR and int(answered) not in _PASSING
    return ModelError, refused, f"the model answered {answered}: {message}"


def _wait(status: int, headers: Mapping[str, str], message: str) -> float | None:
    """Return the seconds that the service asks to wait: in a header, or in the words of a 429."""
    asked = retry_after_of(headers)
    said = _SECONDS.search(message) if asked is None and status == _THROTTLED else None
    return float(said[1]) if said else asked


def _is_number(value: str | None) -> bool:
    return value is not None and value.strip().replace(".", "", 1).isdigit()
