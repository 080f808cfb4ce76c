"""The emulator's web application: every route, and what holds for all of them.

Requests are read as the service reads them (any case, doubled slashes, any Host); every answer carries the service's
correlation headers; errors are dressed for the plane that answers; whatever has no route is a named 501.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_azml.emulator.control.chaos import Chaos, FaultInjection
from airflow_azml.emulator.host.route_table import ROUTERS
from airflow_azml.emulator.http import faults
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.identity.refusals import SignInError
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    from airflow_azml.emulator.host.emulator import Emulator
    from airflow_azml.emulator.host.known_hosts import KnownHosts

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)
NO_ROUTE = (404, 405)
BLOB_HOST = re.compile(r"^(?P<account>[a-z0-9]+)\.blob\.")
BLOB_PATH = re.compile(r"(?P<container>/+_blob/+[^/]+/+[^/]+)(?P<name>/.*)?", re.DOTALL | re.IGNORECASE)
SCORING_HOST = re.compile(r"^(?P<endpoint>[a-z][a-z0-9-]*)\.[a-z0-9-]+\.inference\.")


def create_app(emulator: Emulator, hosts: KnownHosts) -> FastAPI:
    """Build the application over an emulator; its lifespan starts and stops the emulator.

    :param hosts: the hosts that it answers for.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        emulator.start()
        yield
        emulator.stop()

    app = FastAPI(
        title="Azure Machine Learning emulator",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.emulator = emulator
    app.state.chaos = Chaos()
    app.add_middleware(FaultInjection, chaos=app.state.chaos, answer=_answer_fault)
    app.add_middleware(_Envoy, hosts=hosts)
    app.add_exception_handler(Fault, _answer_fault)
    app.add_exception_handler(SignInError, _answer_sign_in)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_unread)
    for routes in ROUTERS:
        app.include_router(routes)
    return app


class _Envoy:
    """Refuses unknown hosts, rewrites paths to the one spelling that the routes know, and signs what goes out."""

    def __init__(self, app: Application, hosts: KnownHosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = str(uuid.uuid4())
        state = scope.setdefault("state", {})
        state["request_id"] = request_id

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                left = state.get("left") or ("reads", 249)
                message["headers"] = [*message["headers"], *_service_headers(request_id, headers, *left)]
            await send(message)

        try:
            state["base"] = self._hosts.base_url(scope)
        except Fault as fault:
            await _answer_fault(Request(scope), fault)(scope, receive, signed)
            return
        scope["path"] = canonical_path(scope["path"], state["base"].partition("://")[2])
        await self._app(scope, receive, signed)


def canonical_path(path: str, host: str) -> str:
    """Collapse doubled slashes and turn host-style blob and scoring addresses into path-style ones.

    The name of a blob is kept as it is: `a//b` and `a/` are names of their own.
    """
    if match := BLOB_HOST.match(host.casefold()):
        path = f"/_blob/{match['account']}/{path}"
    if match := BLOB_PATH.fullmatch(path):
        name = match["name"] or ""
        return re.sub(r"/{2,}", "/", match["container"]) + ("" if name == "/" else name)
    path = re.sub(r"/{2,}", "/", path)
    if match := SCORING_HOST.match(host.casefold()):
        return f"/_score/{match['endpoint']}{path}"
    return path.rstrip("/") or "/"


def _service_headers(request_id: str, headers: dict[str, str], kind: str, left: int) -> list[tuple[bytes, bytes]]:
    client_request_id = headers.get("x-ms-client-request-id")
    signed = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": headers.get("x-ms-correlation-request-id", request_id),
        "x-ms-routing-request-id": f"LOCAL:{datetime.now(UTC):%Y%m%dT%H%M%SZ}:{request_id}",
        "x-ms-client-request-id": client_request_id or request_id,
        "x-request-time": "0.001",
        f"x-ms-ratelimit-remaining-subscription-{kind}": str(left),
    }
    return [(name.encode(), value.encode("latin-1")) for name, value in signed.items()]


def _answer_fault(request: Request, error: Exception) -> Response:
    if not isinstance(error, Fault):
        raise error
    plane = faults.plane_of(request.scope["path"])
    if plane == "blob":
        headers = {**error.headers, "x-ms-error-code": error.code}
        return Response(faults.xml_envelope(error), error.status, headers, media_type="application/xml")
    body = faults.envelope(error, plane, request_id=request.state.request_id, location=facts.LOCATION)
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def _answer_sign_in(_: Request, error: Exception) -> Response:
    if not isinstance(error, SignInError):
        raise error
    return JSONResponse(error.body(), error.status)


def _answer_invalid(request: Request, error: Exception) -> Response:
    return _answer_fault(request, faults.bad_request(f"The request is not valid: {error}"))


def _answer_unread(request: Request, error: Exception) -> Response:
    """Answer what no route takes, by path or by method, and what the framework itself refuses."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code in NO_ROUTE:
        return _answer_fault(request, faults.not_implemented(request.method, request.scope["path"]))
    return _answer_fault(request, Fault(error.status_code, "ValidationError", error.detail))
