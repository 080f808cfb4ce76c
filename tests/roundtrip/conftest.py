"""The client against the emulator, in a process of its own and over TLS: two readings of one contract, compared."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from airflow_azml.client.auth import ClientSecret
from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.clouds import Cloud, custom_cloud
from airflow_azml.client.workspace import Routing, Workspace

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "11111111-1111-1111-1111-111111111111"


@dataclass(frozen=True)
class Site:
    """A running emulator and how to reach it."""

    url: str
    ca: str
    cloud: Cloud

    def client(self, api="v2", tokens=None, **options):
        tokens = tokens or ClientSecret(TENANT, "local", "local", self.cloud, verify=self.ca)
        workspace = Workspace(SUBSCRIPTION, "local", "local")
        return AzureMLClient(workspace, tokens, self.cloud, api=api, verify=self.ca, **options)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=60):
    """Return the condition's first true value; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """One emulator for all of this folder's tests."""
    data: Path = tmp_path_factory.mktemp("roundtrip") / "data"
    port, tls_port = free_port(), free_port()
    command = [sys.executable, "-m", "airflow_azml.emulator", "--port", str(port), "--tls-port", str(tls_port)]
    log = data.parent / "emulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--data", str(data)], stdout=output, stderr=output)

    def ready():
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    until(ready)
    url = f"https://127.0.0.1:{tls_port}"
    yield Site(url, str(data / "ca.pem"), custom_cloud(login=url, arm=url))
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(autouse=True)
def _forget_routes():
    Routing.forget()
    yield
    Routing.forget()


@pytest.fixture
def azure(site):
    """A client of the emulator's workspace, signed in with the client secret."""
    with site.client() as client:
        yield client
