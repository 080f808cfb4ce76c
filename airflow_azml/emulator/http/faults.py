"""Errors as the service words them: one exception, one factory per error, one envelope per plane.

ARM and the data plane wrap the error in `error`; model management and MLflow answer it flat; blob storage answers XML.
The data plane's envelope is `ErrorResponse` of the published runHistory specification, the flat one is
`ModelErrorResponse` of modelManagement. What Resource Manager itself refuses (`gateway`) has a code and a message only;
what Azure ML refuses behind it (`arm`) says in `additionalInfo` where and when.
"""

from __future__ import annotations

import errno
import sqlite3
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from airflow_azml.emulator.kernel import facts

FLAT = frozenset({"modelmanagement", "mlflow"})
MLFLOW_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_ALREADY_EXISTS",
    413: "BAD_REQUEST",
    501: "NOT_IMPLEMENTED",
}


class Fault(Exception):  # noqa: N818 - it is an answer, raised
    """An error answer of the service.

    :param status: HTTP status.
    :param code: the service's error code.
    :param message: the service's message.
    :param target: what the error is about, if the service names it.
    :param details: more specific errors, each as `detail` makes it.
    :param inner: the codes of the inner error and of those in it, the outermost first.
    :param headers: headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: list[dict[str, Any]] | None = None,
        inner: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.target, self.details, self.inner, self.headers = target, details or [], inner, headers or {}


def plane_of(path: str) -> str:
    """Tell which of the service's faces answers a path: arm, modelmanagement, mlflow, blob or data."""
    first = path.strip("/").split("/", 1)[0].casefold()
    return {"subscriptions": "arm", "_blob": "blob"}.get(first, first if first in FLAT else "data")


def envelope(fault: Fault, plane: str, *, request_id: str, location: str) -> dict[str, Any]:
    """Render the fault as the plane's JSON body."""
    plain: dict[str, Any] = {"code": fault.code, "message": fault.message, "details": fault.details}
    if fault.target is not None:  # the specifications have no nulls here
        plain["target"] = fault.target
    correlation = {"operation": request_id, "request": request_id}
    if plane == "gateway":
        return {"error": {"code": fault.code, "message": fault.message}}
    if plane == "arm":
        return {"error": {**plain, "additionalInfo": _additional_info(fault, correlation, location)}}
    if plane == "mlflow":
        return {"error_code": MLFLOW_CODES.get(fault.status, "INTERNAL_ERROR"), "message": fault.message}
    if plane == "modelmanagement":
        return {**plain, "statusCode": fault.status, "correlation": correlation}
    general = "UserError" if fault.status < 500 else "ServiceError"  # noqa: PLR2004 - HTTP's own border
    error = {**plain, "code": general, "innerError": {"code": next(iter(fault.inner), fault.code)}}
    return {
        "error": error,
        "correlation": correlation,
        "environment": location,
        "location": location,
        "time": datetime.now(UTC).isoformat(),
    }


def _additional_info(fault: Fault, correlation: dict[str, str], location: str) -> list[dict[str, Any]]:
    inner: dict[str, Any] | None = None
    for code in reversed(fault.inner):
        inner = {"code": code, "innerError": inner}
    values: dict[str, Any] = {
        "ComponentName": "managementfrontend",
        "Correlation": correlation,
        "Environment": location,
        "Location": location,
        "Time": datetime.now(UTC).isoformat(),
        **({"InnerError": inner} if inner else {}),
    }
    return [{"type": name, "info": {"value": value}} for name, value in values.items()]


def item_envelope(fault: Fault) -> dict[str, Any]:
    """Render the fault of one item of a batch, inside an answer of the data plane that is none itself."""
    return envelope(fault, "data", request_id="", location=facts.LOCATION)


def xml_envelope(fault: Fault) -> bytes:
    """Render the fault as the blob service's body."""
    body = f"<Error><Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message></Error>"
    return b'<?xml version="1.0" encoding="utf-8"?>' + body.encode()


def not_found(kind: str, name: str) -> Fault:
    """A resource of the workspace that does not exist."""
    return Fault(404, f"{kind}NotFound", f"{kind} with name {name} not found.", target=name)


def no_asset(kind: str, name: str) -> Fault:
    """An asset or a datastore of the workspace that does not exist."""
    return Fault(404, "UserError", f"{kind} with name {name} not found.", target=name, inner=("NotFoundError",))


def missing(code: str, message: str, *, general: str = "NotFound") -> Fault:
    """Something else of the workspace that does not exist; the details name what."""
    return Fault(404, general, message, details=[detail(code, message)])


def detail(code: str, message: str, **members: str) -> dict[str, Any]:
    """A more specific error inside another one."""
    return {"code": code, "message": message, **members, "details": [], "additionalInfo": []}


def bad_request(message: str, *, code: str = "ValidationError", target: str | None = None) -> Fault:
    """A request that the service refuses to read."""
    return Fault(400, code, message, target=target)


def too_large(what: str, limit: int) -> Fault:
    """A request with more than the service takes.

    :param limit: in bytes.
    """
    message = f"{what} exceeds the maximum size of {limit >> 20} MB."
    return Fault(413, "RequestContentTooLarge", message)


def unknown_member(name: str, kind: str) -> Fault:
    """A v2 body with a member that the service does not know (it refuses the whole request)."""
    unknown = detail("RequestInvalid", f"Could not find member '{name}' on object of type '{kind}'.")
    message = "Request is invalid and/or missing fields."
    return Fault(400, "UserError", message, target=name, details=[unknown], inner=("RequestInvalid",))


def conflict(code: str, message: str) -> Fault:
    """A request that the present state of the resource forbids."""
    return Fault(409, code, message)


def of_failure(error: Exception) -> Fault:
    """A failure of the emulator itself: 507 when its disk is full, which a client may try again later; else 500."""
    if is_disk_full(error):
        return Fault(507, "InsufficientStorage", "The disk that holds the emulator's data folder is full.")
    return Fault(500, "InternalServerError", f"The emulator failed: {error!r}. Its log has the traceback.")


def is_disk_full(error: BaseException) -> bool:
    """Tell whether there was no space left for a file or for the database."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def not_implemented(method: str, path: str, instead: str = "") -> Fault:
    """What this emulator does not offer: said by name, never answered with an empty success.

    :param instead: what to use instead; empty when nothing is known.
    """
    advice = f" Use {instead}." if instead else ""
    return Fault(501, "NotImplemented", f"The emulator does not implement {method} {path}.{advice}")
