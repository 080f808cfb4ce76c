"""A network that cannot be trusted: a proxy, in a process of its own, between Airflow and the emulator.

Some of the requests go wrong at random, in the ways of the emulator's own fault middleware. It speaks TLS on both
sides, under a certificate of the emulator's authority, and keeps the Host header, so that every address that the
service hands out leads through here again. It remembers every secret that passes, for somebody else to search for.

    python proxy.py --port PORT --service URL --data FOLDER --seed SEED --rate RATE
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import ssl
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import httpx
import uvicorn
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.control.chaos import CONTROL, Chaos, FaultInjection, Trouble
from airflow_azml.emulator.host.certificates import ensure_certificates
from airflow_azml.emulator.http import faults
from airflow_azml.emulator.kernel import facts

ANY = re.compile("")
HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding"}
KINDS: dict[str, dict[str, Any]] = {
    "reset": {"connection": "reset"},
    "answer lost": {"connection": "reset", "after_work": True},
    "truncated": {"connection": "truncate"},
    "delayed": {"delay": 1.0},
    "429": {"status": 429, "retry_after": 1},
    "500": {"status": 500},
    "500 after the work": {"status": 500, "after_work": True},
    "503": {"status": 503},
    "504": {"status": 504},
    "504 after the work": {"status": 504, "after_work": True},
}
NOTHING: dict[str, Any] = {
    "method": "", "path": ANY, "times": 1, "status": None, "code": "", "message": "The network is bad today.",
    "retry_after": None, "delay": 0.0, "connection": None, "after_work": False,
}  # fmt: skip
SIGNATURE = re.compile(r"\bsig=([^&\s\"'<>\\]+)")
KEY = re.compile(r'"(?:access_token|token|accessToken|primaryKey|secondaryKey|accountKey|key)"\s*:\s*"([^"\\]{16,})"')
BEARER = re.compile(r"(?i)^(?:bearer|sharedkey [^:]+:)\s*(\S{16,})$")


class Misfortune(Chaos):
    """Faults that come at random; the dice can be thrown again in the same way.

    :param rate: how many of all requests go wrong, from 0 to 1.
    :param seed: of the dice.
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__()
        self.met: Counter[str] = Counter()
        self._rate, self._dice = rate, random.Random(seed)  # noqa: S311 - dice

    def next(self, method: str, path: str) -> Trouble | None:  # noqa: ARG002 - the base's signature
        """Throw the dice for a request."""
        if path.startswith(CONTROL) or self._dice.random() >= self._rate:
            return None
        kind = self._dice.choice(list(KINDS))
        self.met[kind] += 1
        return Trouble(**{**NOTHING, **KINDS[kind]})


class Secrets:
    """What passes and must not be found anywhere else: tokens, signatures, keys."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def look_at(self, *texts: str) -> None:
        """Remember the secrets in a URL, a header or a body."""
        for text in texts:
            for match in (*SIGNATURE.finditer(text), *KEY.finditer(text), *BEARER.finditer(text)):
                self.seen |= {match[1], unquote_plus(match[1]), quote(unquote_plus(match[1]), safe="")}


class Forwarding:
    """The application that sends a request on and hands back its answer.

    :param service: where the emulator is.
    :param authority: file with the emulator's certificate authority.
    :param misfortune: whose count it tells.
    """

    def __init__(self, service: str, authority: Path, misfortune: Misfortune) -> None:
        trusted = ssl.create_default_context(cafile=str(authority))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=3)
        self._http = httpx.AsyncClient(verify=trusted, trust_env=False, timeout=300, limits=limits)
        self._service = httpx.URL(service)
        self._misfortune, self._secrets, self._requests = misfortune, Secrets(), 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        if scope["path"].startswith(CONTROL):
            await JSONResponse(self._told())(scope, receive, send)
            return
        self._requests += 1
        status, headers, body = await self._forward(request)
        answer = Response(body, status)
        answer.raw_headers = headers
        await answer(scope, receive, send)

    async def _forward(self, request: Request) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        body = await request.body()
        target = request.scope["raw_path"] + b"?" * bool(request.scope["query_string"]) + request.scope["query_string"]
        headers = [header for header in _end_to_end(request.headers.raw) if header[0] != b"content-length"]
        self._secrets.look_at(target.decode(), request.headers.get("authorization", ""))
        sent = self._http.build_request(
            request.method, self._service.copy_with(raw_path=target), headers=headers, content=body
        )
        answer = await self._http.send(sent, stream=True)
        raw = b"".join([piece async for piece in answer.aiter_raw()])
        await answer.aclose()
        self._secrets.look_at(raw.decode(errors="replace"), str(answer.headers.get("location", "")))
        return answer.status_code, _end_to_end(answer.headers.raw), raw

    def _told(self) -> dict[str, Any]:
        published = {facts.STORAGE_KEY} & self._secrets.seen
        return {
            "requests": self._requests,
            "faults": dict(self._misfortune.met),
            "secrets": sorted(self._secrets.seen | published),
        }


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]


def _answer(request: Request, fault: Exception) -> Response:
    """Dress an error as the plane does whose request went wrong."""
    assert isinstance(fault, faults.Fault)
    plane = faults.plane_of(request.url.path)
    if plane == "blob":
        return Response(faults.xml_envelope(fault), fault.status, fault.headers, "application/xml")
    body = faults.envelope(fault, plane, request_id="proxy", location=facts.LOCATION)
    return Response(json.dumps(body), fault.status, fault.headers, "application/json")


def certificate(emulator_data: Path, folder: Path) -> tuple[Path, Path]:
    """Make a certificate of the emulator's authority; return the paths of it and of its key."""
    folder.mkdir(exist_ok=True)
    for name in ("ca.pem", "ca-key.pem"):
        shutil.copy(emulator_data / name, folder / name)
    return ensure_certificates(folder, [])


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.12)
    options = parser.parse_args()
    chain, key = certificate(options.data, options.data.with_name("proxy"))
    misfortune = Misfortune(options.rate, options.seed)
    forwarding = Forwarding(options.service, options.data / "ca.pem", misfortune)
    server = uvicorn.Server(
        uvicorn.Config(
            FaultInjection(forwarding, misfortune, _answer), host="127.0.0.1", port=options.port, lifespan="off",
            log_level="warning", access_log=False, ssl_certfile=str(chain), ssl_keyfile=str(key),
            timeout_graceful_shutdown=2, server_header=False, date_header=False,
        )
    )  # fmt: skip
    misfortune.watch(server.server_state.connections)
    server.run()


if __name__ == "__main__":
    main()
