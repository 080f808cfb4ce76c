"""What holds for every request, before a route sees it and after: the outermost part of the application.

It refuses unknown hosts, rewrites paths to the one spelling that the routes know, signs answers with the service's
headers, and answers exceptions that nobody has caught.
"""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from airflow_azml.emulator.host import answers
from airflow_azml.emulator.http.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from airflow_azml.emulator.host.known_hosts import KnownHosts

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)
BLOB_HOST = re.compile(r"^(?P<account>[a-z0-9]+)\.blob\.")
BLOB_PATH = re.compile(r"(?P<container>/+_blob/+[^/]+/+[^/]+)(?P<name>/.*)?", re.DOTALL | re.IGNORECASE)
SCORING_HOST = re.compile(r"^(?P<endpoint>[a-z][a-z0-9-]*)\.[a-z0-9-]+\.inference\.")


class Envoy:
    """The middleware.

    :param hosts: the hosts that the emulator answers for.
    """

    def __init__(self, app: Application, hosts: KnownHosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the routes, and their answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = str(uuid.uuid4())
        state, started = scope.setdefault("state", {}), False
        state["request_id"] = request_id

        async def signed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                left = state.get("left") or ("reads", 249)
                message["headers"] = [*message["headers"], *_service_headers(request_id, headers, *left)]
            await send(message)

        try:
            state["base"] = self._hosts.base_url(scope)
            scope["path"] = canonical_path(scope["path"], state["base"].partition("://")[2])
            await self._app(scope, receive, signed)
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception as error:  # a mistake of ours is answered, too, with the id under which it is logged
            if not isinstance(error, Fault):
                log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if started:
                raise
            await answers.answer(Request(scope), error)(scope, receive, signed)


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
