"""The campaign's network: what is sent through it arrives, some of it goes wrong, and it remembers secrets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from emulator_process import TENANT, WORKSPACE, EmulatorProcess, free_port

PROXY = Path(__file__).with_name("proxy.py")


@pytest.fixture
def through(emulator: EmulatorProcess, until: Any) -> Iterator[Callable[[float], Any]]:
    """Start a proxy with a fault rate; return what sends a request through it."""
    processes = []

    def start(rate: float) -> Any:
        url = f"https://127.0.0.1:{free_port()}"
        command = [sys.executable, str(PROXY), "--port", url.rpartition(":")[2], "--service", emulator.tls_url]
        command += ["--data", str(emulator.data), "--rate", str(rate)]
        processes.append(subprocess.Popen(command))

        def send(method: str, path: str, **options: Any) -> requests.Response:
            address = path if path.startswith("http") else url + path
            return requests.request(method, address, verify=str(emulator.data / "ca.pem"), timeout=30, **options)

        def answers() -> bool:
            with suppress(requests.ConnectionError):
                return send("GET", "/_emulator").ok
            return False

        until(answers)
        return send

    yield start
    for process in processes:
        process.terminate()
        process.wait(timeout=30)


def sign_in(send: Any, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": secret}
    form["scope"] = "https://management.azure.com/.default"
    return str(send("POST", f"/{TENANT}/oauth2/v2.0/token", data=form).json()["access_token"])


def test_every_address_leads_through_the_proxy_again(emulator: EmulatorProcess, through: Any) -> None:
    """A caller who came by the proxy is sent back to it, signs in there, and the token is remembered."""
    send = through(0)
    token = sign_in(send, emulator.secret)
    workspace = send("GET", f"{WORKSPACE}?api-version=2023-10-01", headers={"Authorization": f"Bearer {token}"}).json()
    configuration = send("GET", f"/{TENANT}/v2.0/.well-known/openid-configuration").json()
    proxy = configuration["token_endpoint"].partition(f"/{TENANT}/")[0]
    assert workspace["properties"]["discoveryUrl"].startswith(proxy)
    told = send("GET", "/_emulator").json()
    assert told["faults"] == {}
    assert token in told["secrets"]


def test_every_kind_of_fault_is_met(through: Any) -> None:
    """Where everything goes wrong, no answer is a good one, and every kind of fault comes about."""
    from proxy import KINDS  # noqa: PLC0415 - it lies beside this file

    send = through(1)
    for _ in range(60):
        with suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            answer = send("GET", f"/{TENANT}/discovery/keys")
            assert answer.status_code >= 400 or answer.elapsed.total_seconds() >= 1
    told = send("GET", "/_emulator").json()
    assert set(told["faults"]) == set(KINDS)
    assert sum(told["faults"].values()) == 60
