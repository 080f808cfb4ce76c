"""How much a request may bring, and how long it may take to bring it: nobody fills the memory or holds a connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, plane_of, too_large

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from fastapi import Request

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LARGEST_BODY = {"arm": 4 << 20}  # bytes, by plane: Resource Manager's own limit
LARGEST = 28 << 20  # of the other planes: what their web server takes unless it is told otherwise
LARGEST_TAGS = 4 << 20  # bytes of all tags of a resource
PATIENCE = 60.0  # seconds until the next part of a request must have come


async def read_body(request: Request) -> bytes:
    """Return a body that is read as a whole; raise the 413 of the service when it is larger than the service takes."""
    limit = LARGEST_BODY.get(plane_of(request.scope["path"]), LARGEST)
    received = bytearray()
    if int(request.headers.get("content-length", 0)) > limit:  # no need to read it
        raise too_large("The request content size", limit)
    async for chunk in request.stream():
        received += chunk
        if len(received) > limit:
            raise too_large("The request content size", limit)
    return bytes(received)


def bounded(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that a resource is to have; raise a 413 when they have become too large in many small steps."""
    if sum(len(name) + len(str(value)) for name, value in tags.items()) > LARGEST_TAGS:
        raise too_large("The size of all tags", LARGEST_TAGS)
    return tags


def impatient(receive: Receive) -> Receive:
    """Return a `receive` of ASGI that raises a 408 when the rest of a body does not come."""
    complete = False

    async def receive_in_time() -> MutableMapping[str, Any]:
        nonlocal complete
        if complete:  # what comes now is that the client has gone
            return await receive()
        try:
            async with asyncio.timeout(PATIENCE):
                message = await receive()
        except TimeoutError:
            headers = {"Connection": "close"}
            raise Fault(408, "RequestTimeout", "The rest of the request did not come.", headers=headers) from None
        complete = not message.get("more_body", False)
        return message

    return receive_in_time
