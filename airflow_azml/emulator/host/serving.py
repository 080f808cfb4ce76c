"""The emulator as a program: what its options say, put together and served."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from airflow_azml.emulator.control.throttle import PUBLISHED
from airflow_azml.emulator.host.claims import listen, only_one
from airflow_azml.emulator.host.connection import address_of, connection_line
from airflow_azml.emulator.host.emulator import Emulator
from airflow_azml.emulator.host.known_hosts import KnownHosts
from airflow_azml.emulator.host.request_log import RequestLog
from airflow_azml.emulator.host.server import serve
from airflow_azml.emulator.http.addresses import INSIDE
from airflow_azml.emulator.kernel.facts import PACES

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Claim folder and ports, say how Airflow finds the emulator once it can, and serve until interrupted."""
    with RequestLog(options.request_log) as requests, ExitStack() as claims:
        claims.enter_context(only_one(options.data))
        plain = claims.enter_context(listen(options.host, options.port, "--port"))
        tls = options.tls_port and claims.enter_context(listen(options.host, options.tls_port, "--tls-port"))
        line = connection_line(options.host, options.port, options.tls_port, options.data, options.secret)
        known = KnownHosts.of_server(options.host, options.allow_host, trust_forwarded=options.trust_forwarded)
        local_url = f"http://{address_of(options.host)}:{options.port}"
        sdk_url = f"https://{INSIDE}:{options.tls_port}" if tls else ""
        emulator = Emulator(
            options.data, PACES[options.speed], local_url, options.secret, sdk_url, options.environments
        )
        emulator.throttle.limit(PUBLISHED if options.throttle else {})
        serve(emulator, known, requests, plain, tls or None, partial(print, line, flush=True))
