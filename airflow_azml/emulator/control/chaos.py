"""Faults on request: what a test wants to go wrong with the next calls, and the middleware that lets it.

It stands around the routes and knows nothing of Azure ML. A fault comes instead of the work or after it; resets and
truncations are real: the socket is closed under the client.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Request

from airflow_azml.emulator.http.faults import Fault

if TYPE_CHECKING:
    import re
    from collections.abc import Awaitable, Callable, MutableMapping

    from fastapi.responses import Response

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

CONTROL = "/_emulator"  # the emulator's own routes
# What no fault is met by: a browser that shows a page of the studio must not use up what a test has asked for.
_SPARED = (CONTROL, "/home", "/runs/", "/compute/", "/endpoints/", "/model/")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: unsent bytes are thrown away, the peer gets RST instead of FIN


@dataclass(slots=True, kw_only=True)
class Trouble:
    """What becomes of the next calls that match.

    :param method: HTTP method; empty for any.
    :param path: searched for in the path, in any case; empty for any.
    :param times: calls that are still to be met.
    :param status: answer this error.
    :param code: the error's code; by default the status's own name.
    :param message: the error's message.
    :param retry_after: seconds, sent as `Retry-After` with the status.
    :param delay: seconds to wait first.
    :param connection: `reset` it, or `truncate` the answer.
    :param after_work: do what was asked for, and only then let it go wrong.
    :param met: calls that have been met.
    """

    method: str
    path: re.Pattern[str]
    times: int
    status: int | None
    code: str
    message: str
    retry_after: int | None
    delay: float
    connection: Literal["reset", "truncate"] | None
    after_work: bool
    met: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def meets(self, method: str, path: str) -> bool:
        """Tell whether a call is one of those, and count it."""
        found = self.times > 0 and self.method in {"", method} and self.path.search(path) is not None
        self.times, self.met = self.times - found, self.met + found
        return found

    def error(self) -> Fault:
        """Return the error that is answered."""
        status = self.status or HTTPStatus.INTERNAL_SERVER_ERROR
        known = {each.value: each.phrase.replace(" ", "") for each in HTTPStatus}
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        message = self.message or "This is a fault that the emulator was asked for."
        return Fault(status, self.code or known.get(status, "ServiceError"), message, headers=headers)


class Chaos:
    """The faults that are asked for, the oldest first, and the connections that they may cut."""

    def __init__(self) -> None:
        self.troubles: list[Trouble] = []
        self._servers: list[set[Any]] = []

    def watch(self, connections: set[Any]) -> None:
        """Know a server's connections, a set that uvicorn keeps up to date."""
        self._servers.append(connections)

    def next(self, method: str, path: str) -> Trouble | None:
        """Return what becomes of a call, if anything."""
        if path.startswith(_SPARED):
            return None
        return next((trouble for trouble in self.troubles if trouble.meets(method, path)), None)

    def transport(self, scope: MutableMapping[str, Any]) -> asyncio.Transport:
        """Return what is below the request: neither ASGI nor uvicorn hands it out."""
        for connection in chain(*self._servers):
            exchange = connection.cycle
            if exchange is not None and exchange.scope is scope:
                transport: asyncio.Transport = connection.transport
                return transport
        raise RuntimeError("connections can only be cut when uvicorn serves them")


class FaultInjection:
    """The middleware.

    :param answer: renders an error as the request's plane does.
    """

    def __init__(self, app: Application, chaos: Chaos, answer: Callable[[Request, Exception], Response]) -> None:
        self._app, self._chaos, self._answer = app, chaos, answer

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let the call go wrong in the way that was asked for, or leave it alone."""
        trouble = self._chaos.next(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if trouble is None:
            await self._app(scope, receive, send)
            return
        app = await self._worked(scope, receive) if trouble.after_work else self._app
        await asyncio.sleep(trouble.delay)
        if trouble.connection == "reset":
            self._reset(scope)
            await _gone(receive)
        elif trouble.connection == "truncate":
            await self._truncate(app, scope, receive, send)
        elif trouble.status:
            await self._answer(Request(scope), trouble.error())(scope, receive, send)
        else:
            await app(scope, receive, send)

    async def _worked(self, scope: MutableMapping[str, Any], receive: Receive) -> Application:
        """Do the work and return an application that only hands out its answer."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        async def replay(_: MutableMapping[str, Any], __: Receive, send: Send) -> None:
            for message in messages:
                await send(message)

        await self._app(scope, receive, keep)
        return replay

    async def _truncate(self, app: Application, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Send the headers and half of the body. An answer without a body has no half: the connection is reset."""
        start: Message = {}
        body = b""

        async def keep(message: Message) -> None:
            nonlocal body
            start.update(message if message["type"] == "http.response.start" else {})
            body += message.get("body", b"")

        await app(scope, receive, keep)
        if body:
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            self._chaos.transport(scope).close()
        else:
            self._reset(scope)
        await _gone(receive)

    def _reset(self, scope: MutableMapping[str, Any]) -> None:
        transport = self._chaos.transport(scope)
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as shared:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        transport.abort()


async def _gone(receive: Receive) -> None:
    """Wait until the server has seen that the connection is gone; before, it would answer 500 in our place."""
    while (await receive())["type"] != "http.disconnect":
        pass
