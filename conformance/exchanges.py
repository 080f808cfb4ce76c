"""What clients and the emulator said to each other, read from the proxy's records: requests with their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h11

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the status of its answer.

    :param host: that the client asked for.
    :param method: in capitals.
    :param target: path and query as sent.
    :param headers: names in lower case.
    :param body: as sent, without its transfer encoding.
    :param status: of the answer.
    """

    host: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])


def read(records: Path) -> Iterator[Exchange]:
    """Yield what was said, connection by connection."""
    for sent in sorted(records.glob("*.sent")):
        host = sent.name.partition("-")[2].removesuffix(".sent")
        yield from _connection(host, sent.read_bytes(), sent.with_suffix(".received").read_bytes())


def _connection(host: str, sent: bytes, received: bytes) -> Iterator[Exchange]:
    """Play both sides of a connection: each reads what the other one wrote, and is told what it said itself."""
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    server.receive_data(sent)
    client.receive_data(received)
    while isinstance(request := server.next_event(), h11.Request):
        body = _body(server)
        _say(client, request, body)
        answer = client.next_event()
        while isinstance(answer, h11.InformationalResponse):
            answer = client.next_event()
        if not isinstance(answer, h11.Response):
            return  # the connection broke before the answer came
        _say(server, h11.Response(status_code=204, headers=[]), b"")
        _body(client)
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        yield Exchange(host, request.method.decode(), request.target.decode(), headers, body, answer.status_code)
        if client.our_state is not h11.DONE or client.their_state is not h11.DONE:
            return
        client.start_next_cycle()
        server.start_next_cycle()


def _say(side: h11.Connection, head: h11.Request | h11.Response, body: bytes) -> None:
    side.send(head)
    if body:
        side.send(h11.Data(body))
    side.send(h11.EndOfMessage())


def _body(side: h11.Connection) -> bytes:
    """Return what is left of the message that the side is reading."""
    body = b""
    while isinstance(event := side.next_event(), h11.Data):
        body += event.data
    return body
