"""Serving the emulator over HTTP and HTTPS from one process and one state."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import uvicorn

from airflow_azml.emulator.app import create_app
from airflow_azml.emulator.certificates import ensure_certificates
from airflow_azml.emulator.connection import address_of
from airflow_azml.emulator.emulator import Emulator
from airflow_azml.emulator.facts import PACES
from airflow_azml.emulator.throttle import PUBLISHED

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from fastapi import FastAPI


def serve(
    host: str, port: int, data: Path, tls_port: int | None = None, speed: str = "fast", *, throttle: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM.

    :param host: address to bind; 127.0.0.1 unless the user says otherwise.
    :param port: plain HTTP port.
    :param data: folder of the state.
    :param tls_port: HTTPS port; none when absent.
    :param speed: `fast` or `real`.
    :param throttle: refuse what exceeds Azure's request limits.
    """
    emulator = Emulator(data, PACES[speed], local_url=f"http://{address_of(host)}:{port}")
    emulator.throttle.limit(PUBLISHED if throttle else {})
    app = create_app(emulator)
    servers = [_Server(_config(app, host, port, lifespan="on"))]
    if tls_port is not None:
        certificate, key = ensure_certificates(emulator.data, host)
        servers.append(_Server(_config(app, host, tls_port, lifespan="off", tls=(certificate, key))))
    for server in servers:
        app.state.chaos.watch(server.server_state.connections)
    asyncio.run(_run(servers))


class _Server(uvicorn.Server):
    """A server that leaves signals to the process, because two of them share it."""

    def install_signal_handlers(self) -> None:
        """Do nothing: see `_run`."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drop idle connections first: over TLS, a client that sleeps would not answer the goodbye for seconds."""
        for connection in list(self.server_state.connections):
            exchange = getattr(connection, "cycle", None)
            if exchange is None or exchange.response_complete:
                connection.transport.abort()
        await super().shutdown(sockets)


def _config(
    app: FastAPI, host: str, port: int, *, lifespan: str, tls: tuple[Path, Path] | None = None
) -> uvicorn.Config:
    certificate, key = (str(tls[0]), str(tls[1])) if tls else (None, None)
    return uvicorn.Config(
        app, host=host, port=port, lifespan=lifespan, log_level="warning", access_log=False,  # type: ignore[arg-type]
        timeout_graceful_shutdown=5, ssl_certfile=certificate, ssl_keyfile=key,
    )  # fmt: skip


async def _run(servers: list[_Server]) -> None:
    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    tasks = [asyncio.create_task(server._serve(None)) for server in servers]  # noqa: SLF001 - serve() takes the signals
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop()
    await asyncio.gather(*tasks)
