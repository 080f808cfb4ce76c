"""Serving the emulator over HTTP and HTTPS from one process and one state."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from airflow_azml.emulator.host.app import create_app
from airflow_azml.emulator.host.certificates import ensure_certificates, write_bundle
from airflow_azml.emulator.http import limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from socket import socket as Socket  # noqa: N812 - a class

    from fastapi import FastAPI

    from airflow_azml.emulator.host.emulator import Emulator
    from airflow_azml.emulator.host.known_hosts import KnownHosts
    from airflow_azml.emulator.host.request_log import RequestLog


def serve(
    emulator: Emulator,
    known: KnownHosts,
    requests: RequestLog,
    plain: Socket,
    tls: Socket | None,
    ready: Callable[[], object],
) -> None:
    """Serve until SIGINT or SIGTERM.

    :param known: the hosts that it answers for; they stand in the certificate.
    :param requests: where requests are noted.
    :param plain: where to serve plain HTTP.
    :param tls: where to serve HTTPS; nowhere when absent.
    :param ready: called when nothing more can prevent it from serving.

    Raises StateError when the folder cannot be used.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each body that a client is refused for
    app = create_app(emulator, known, requests)
    servers = {_Server(_config(app, lifespan="on")): plain}
    if tls is not None:
        certificates = ensure_certificates(emulator.data, known.names)
        write_bundle(emulator.trusted, emulator.data)
        servers[_Server(_config(app, lifespan="off", tls=certificates))] = tls
    for server in servers:
        app.state.chaos.watch(server.server_state.connections)
    ready()
    asyncio.run(_run(servers))


class _Server(uvicorn.Server):
    """A server that leaves signals to the process, because two of them share it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()
        self._idle: dict[Any, tuple[Any, float]] = {}  # connections: their last exchange, and when it was over

    def install_signal_handlers(self) -> None:
        """Do nothing: see `_run`."""

    def leave(self) -> None:
        """Stop serving."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        """Renew the date of answers each second; uvicorn's own loop would wake up ten times a second."""
        while not await self.on_tick(0):
            self._drop_half_sent()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1)

    def _drop_half_sent(self) -> None:
        """Close the connections on which no whole request comes. Those with half a body are answered: see limits.py."""
        now, known = time.monotonic(), self._idle
        idle = {each: _exchange(each) for each in self.server_state.connections if _is_idle(each)}
        self._idle = {connection: (exchange, now) for connection, exchange in idle.items()}
        for connection, exchange in idle.items():
            last, since = known.get(connection, (exchange, now))
            if last is exchange:
                self._idle[connection] = exchange, since
                if now - since > limits.PATIENCE:
                    connection.transport.abort()

    async def shutdown(self, sockets: list[Socket] | None = None) -> None:
        """Drop idle connections first: over TLS, a client that sleeps would not answer the goodbye for seconds."""
        for connection in list(self.server_state.connections):
            if _is_idle(connection):
                connection.transport.abort()
        await super().shutdown(sockets)


def _exchange(connection: Any) -> Any:
    """Return the last request of a connection with its answer; None when there was none yet."""
    return getattr(connection, "cycle", None)


def _is_idle(connection: Any) -> bool:
    """Tell whether no request is being answered on a connection."""
    exchange = _exchange(connection)
    return exchange is None or bool(exchange.response_complete)


def _config(app: FastAPI, *, lifespan: str, tls: tuple[Path, Path] | None = None) -> uvicorn.Config:
    certificate, key = (str(tls[0]), str(tls[1])) if tls else (None, None)
    return uvicorn.Config(
        app, lifespan=lifespan, log_level="warning", access_log=False,  # type: ignore[arg-type]
        proxy_headers=False, timeout_graceful_shutdown=5, ssl_certfile=certificate, ssl_keyfile=key,
    )  # fmt: skip


async def _run(servers: dict[_Server, Socket]) -> None:
    def stop() -> None:
        for server in servers:
            server.leave()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    tasks = [
        asyncio.create_task(server._serve([socket]))  # noqa: SLF001 - serve() takes the signals
        for server, socket in servers.items()
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop()
    await asyncio.gather(*tasks)
