"""Two servers on real sockets: an Azure ML that says what a test wants, and a stranger who keeps what he hears."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "bearer-of-the-test-0123456789"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
GREETING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n{}"


@dataclass
class Answer:
    """What the Azure ML of a test says to one path."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class FakeAzure:
    """Resource Manager and a workspace's regional services at one address, which may answer anything."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.route("", {"location": "eastus", "properties": {"discoveryUrl": f"{self.url}/discovery"}})
        self.answers["GET", "/discovery"] = Answer({"api": self.url})

    def route(self, path: str, body: Any = None, *, method: str = "GET", service: str = "", **rest: Any) -> None:
        """Say what is answered to a path below the workspace, in Resource Manager or in a regional service."""
        prefix = f"/{service}" if service else ""
        self.answers[method, f"{prefix}{WORKSPACE}{path}"] = Answer(body, **rest)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        azure = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                azure.asked.append((self.command, path, self.headers.get("Authorization") or ""))
                said = azure.answers.get((self.command, path), Answer({"error": {"code": "NotFound"}}, 404))
                body = said.body if isinstance(said.body, bytes) else json.dumps(said.body or {}).encode()
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


class Stranger:
    """Somebody else's server: takes every connection, remembers every byte, and is friendly."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.2", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.heard.append(connection.recv(65_536))
                connection.sendall(GREETING)


@contextmanager
def running(server: Any) -> Iterator[Any]:
    """Start the server, stop it at the end."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
