"""What holds for every request, before a route sees it and after: the outermost part of the application.

It refuses unknown hosts, rewrites paths to the one spelling that the routes know, signs answers with the service's
headers, and answers exceptions that nobody has caught.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from airflow_azml.emulator.control.throttle import PUBLISHED
from airflow_azml.emulator.host import answers
from airflow_azml.emulator.http.faults import Fault, plane_of
from airflow_azml.emulator.http.limits import impatient
from airflow_azml.emulator.identity.access import kind_of
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from airflow_azml.emulator.host.known_hosts import KnownHosts
    from airflow_azml.emulator.host.request_log import RequestLog

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)
ERROR = 400
BLOB_HOST = re.compile(r"^(?P<account>[a-z0-9]+)\.blob\.")
BLOB_PATH = re.compile(r"(?P<container>/+_blob/+[^/]+/+[^/]+)(?P<name>/.*)?", re.DOTALL | re.IGNORECASE)
SCORING_HOST = re.compile(r"^(?P<endpoint>[a-z][a-z0-9-]*)\.[a-z0-9-]+\.inference\.")


class Envoy:
    """The middleware.

    :param hosts: the hosts that the emulator answers for.
    :param requests: where requests are noted.
    """

    def __init__(self, app: Application, hosts: KnownHosts, requests: RequestLog) -> None:
        self._app, self._hosts, self._requests = app, hosts, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the routes, and their answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, state = time.perf_counter(), None, scope.setdefault("state", {})
        request_id = state["request_id"] = str(uuid.uuid4())
        target = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")

        async def signed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                signature = service_headers(scope, status, time.perf_counter() - began)
                message["headers"] = [*message["headers"], *signature]
            await send(message)

        try:
            state["base"] = self._hosts.base_url(scope)
            scope["path"] = canonical_path(scope["path"], state["base"].partition("://")[2])
            await self._app(scope, impatient(receive), signed)
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception as error:  # a mistake of ours is answered, too, with the id under which it is logged
            if not isinstance(error, Fault):
                log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if status is not None:
                raise
            await answers.answer(Request(scope), error)(scope, receive, signed)
        finally:
            self._requests.note(request_id, scope["method"], target, status, time.perf_counter() - began)


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


def service_headers(scope: Scope, status: int, seconds: float) -> list[tuple[bytes, bytes]]:
    """Return the headers that the service adds to every answer of the plane that was asked."""
    given, state = Headers(scope=scope), scope["state"]
    request_id: str = state["request_id"]
    signed = {
        "x-ms-request-id": request_id,
        "x-ms-client-request-id": given.get("x-ms-client-request-id", request_id),
    }
    if name := given.get("client-request-id"):  # the sign-in service's own
        signed["client-request-id"] = name
    plane = plane_of(scope["path"])
    if plane == "arm" and status >= ERROR and "admitted" not in state:
        signed["x-ms-failure-cause"] = "gateway"
    elif plane != "blob":
        signed["x-ms-response-type"] = "error" if status >= ERROR else "standard"
        signed["x-request-time"] = f"{seconds:.3f}"
    if plane == "arm":
        kind = kind_of(scope["method"])
        left = state.get("left", PUBLISHED[kind].bucket - 1)
        signed["x-ms-correlation-request-id"] = given.get("x-ms-correlation-request-id", request_id)
        signed["x-ms-operation-identifier"] = f"tenantId={facts.TENANT}/{facts.LOCATION}/{request_id}"
        signed["x-ms-routing-request-id"] = f"LOCAL:{datetime.now(UTC):%Y%m%dT%H%M%SZ}:{request_id}"
        signed[f"x-ms-ratelimit-remaining-subscription-{kind}"] = str(left)
    return [(name.encode(), value.encode("latin-1")) for name, value in signed.items()]
