"""An emulator in a process of its own, as users start it, with a small client that signs in to it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

SUBSCRIPTION, TENANT = "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"
WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/local/providers/Microsoft.MachineLearningServices/workspaces/local"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Any, seconds: float = 240, every: float = 0.1) -> Any:
    """Return the condition's first true value, looking every so many seconds; fail when there is none in time.

    The time is enough for building a Python environment on a busy machine.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {condition}")


@dataclass
class EmulatorProcess:
    """A running emulator: start, stop, call with a token."""

    data: Path
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    secret: str = field(default_factory=lambda: secrets.token_hex(20))
    process: subprocess.Popen[bytes] | None = None
    _token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def connection(self, **changes: Any) -> str:
        """Return the Airflow connection to it, over TLS; changes are of the extra, or of login and password."""
        extra = {
            "tenant_id": TENANT,
            "subscription_id": SUBSCRIPTION,
            "resource_group": "local",
            "workspace_name": "local",
            "cloud": "Custom",
            "authority_url": self.tls_url,
            "resource_manager_url": self.tls_url,
            "ca_bundle": str(self.data / "ca.pem"),
        }
        top = {"conn_type": "azureml", "login": "local", "password": self.secret}
        top |= {name: changes.pop(name) for name in ("login", "password") if name in changes}
        return json.dumps({**top, "extra": {**extra, **changes}})

    def start(self, *options: str) -> EmulatorProcess:
        command = [sys.executable, "-m", "airflow_azml.emulator", "--port", str(self.port)]
        command += ["--tls-port", str(self.tls_port), "--data", str(self.data), *options]
        environment = {**os.environ, "AZUREML_EMULATOR_SECRET": self.secret}
        with (self.data.parent / "emulator.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        for _ in range(300):
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return self
            except (requests.ConnectionError, requests.Timeout):  # it listens before it serves
                time.sleep(0.1)
            if self.process.poll() is not None:
                break
        raise AssertionError((self.data.parent / "emulator.log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(timeout=30)

    @property
    def token(self) -> str:
        if not self._token:
            self._token = self.sign_in("https://management.azure.com")
        return self._token

    def sign_in(self, audience: str) -> str:
        """Return a new token for a service."""
        form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": self.secret}
        form["scope"] = f"{audience}/.default"
        answer = requests.post(f"{self.url}/{TENANT}/oauth2/v2.0/token", data=form, timeout=10)
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call a path (or an absolute URL that the emulator handed out) with a valid token."""
        url = path if path.startswith("http") else self.url + path
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def control(self, method: str, switch: str, **options: Any) -> requests.Response:
        """Call one of the emulator's own switches: `faults`, `throttle`, `speed`, `runs`."""
        headers = {"X-Emulator-Control": "1"}
        return requests.request(method, f"{self.url}/_emulator/{switch}", headers=headers, timeout=30, **options)

    def arm(self, method: str, path: str = "", **options: Any) -> requests.Response:
        """Call a path below the workspace on Resource Manager."""
        params = {"api-version": "2023-10-01", **options.pop("params", {})}
        return self.call(method, WORKSPACE + path, params=params, **options)

    def regional(self, method: str, service: str, path: str = "", **options: Any) -> requests.Response:
        """Call a path below the workspace on a regional service such as `history/v1.0`."""
        return self.call(method, f"/{service}{WORKSPACE}{path}", **options)
