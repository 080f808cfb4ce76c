"""The program inside a deployment: loads an entry script, calls its `init()` once and its `run()` for each request.

It stands in for azureml-inference-server-http and answers as that one does: `GET /` Healthy; what `run()` returns is
dumped as JSON with status 200 (a string too, so a script that dumps by itself is dumped twice); an exception of
`run()` is a 500 with `x-ms-run-function-failed: True`; a script that cannot start ends the process with code 3.
It runs in the environment's own Python: it must use the standard library only and knows nothing of the emulator.
`@rawhttp` and `@input_schema` need that server's packages and are not offered.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT_FAILED = 3  # exit code, as the service's server
log = logging.getLogger("azmlinfsrv")


def load(script: Path) -> Callable[[str], Any]:
    """Import the entry script, call its `init()` and return its `run()`."""
    spec = importlib.util.spec_from_file_location("entry_module", script)
    if spec is None or spec.loader is None or not script.is_file():
        raise FileNotFoundError(f"No such entry script: {script}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("init", "run"):
        if not hasattr(module, name):
            raise ImportError(f"User script at {script} does not have a {name}() function defined.")
    log.info("Invoking user's init function")
    module.init()
    log.info("Users's init has completed successfully")
    run: Callable[[str], Any] = module.run
    return run


class ScoreHandler(BaseHTTPRequestHandler):
    """Answers the health probe and scoring requests."""

    run: ClassVar[Callable[[str], Any]]

    def do_GET(self) -> None:
        """Health probe; or scoring with the query's values as input."""
        address = urlsplit(self.path)
        if address.path == "/":
            self._send(200, b"Healthy", "text/html; charset=utf-8")
        elif address.path == "/score":
            self._score(json.dumps(_query_values(address.query)))
        else:
            self._send_error(404, "The requested URL was not found on the server.")

    def do_POST(self) -> None:
        """Scoring with the body as input, handed to `run()` as text."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if urlsplit(self.path).path != "/score":
            self._send_error(404, "The requested URL was not found on the server.")
            return
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            self._send_error(400, f"Input cannot be decoded as UTF-8: {error}")
            return
        self._score(text)

    def _score(self, data: str) -> None:
        began = time.perf_counter()
        try:
            result = type(self).run(data)
            body = json.dumps({} if result is None else result).encode()
        except Exception:  # the user's code may raise anything
            log.exception("Encountered Exception")
            message = "An unexpected error occurred in scoring script. Check the logs for more info."
            self._send_error(500, message, {"x-ms-run-function-failed": "True"})
            return
        spent = f"{(time.perf_counter() - began) * 1e3:.3f}"
        self._send(200, body, headers={"x-ms-run-function-failed": "False", "x-ms-run-fn-exec-ms": spent})

    def _send_error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        headers = {"x-ms-run-function-failed": "False", **(headers or {})}
        self._send(status, json.dumps({"message": message}).encode(), headers=headers)

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base's signature
        """Log the request, but not the health probe."""
        if self.path != "/":
            log.info("%s %s %s", self.command, self.path, int(code))


def _query_values(query: str) -> dict[str, Any]:
    values = {name: [_parse(value) for value in given] for name, given in parse_qs(query).items()}
    return {name: given[0] if len(given) == 1 else given for name, given in values.items()}


def _parse(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def serve(script: Path, port_file: Path) -> None:
    """Load the script, then listen on a free port and write its number into the file: from there on it is ready."""
    ScoreHandler.run = staticmethod(load(script))  # a plain function, not a method
    with ThreadingHTTPServer(("127.0.0.1", 0), ScoreHandler) as server:
        unfinished = port_file.with_suffix(".tmp")
        unfinished.write_text(str(server.server_address[1]))
        unfinished.replace(port_file)
        log.info("Worker with pid %s ready for serving traffic", os.getpid())
        server.serve_forever()


def main() -> int:
    """Entry point: `score_server.py SCRIPT PORT_FILE`; AML_APP_ROOT is where the script's imports are found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("script", type=Path)
    parser.add_argument("port_file", type=Path)
    options = parser.parse_args()
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
    )
    sys.path[0] = os.environ.get("AML_APP_ROOT", str(options.script.parent))  # instead of this file's own folder
    try:
        serve(options.script, options.port_file)
    except Exception:  # the user's code may raise anything
        log.exception("User's script failed to start")
        return SCRIPT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
