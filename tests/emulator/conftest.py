"""An emulator in a process of its own, as users start it, and a small client that signs in to it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.MachineLearningServices/workspaces/local"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class EmulatorProcess:
    """A running emulator: start, stop, call with a token."""

    data: Path
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    _token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def start(self) -> EmulatorProcess:
        command = [sys.executable, "-m", "airflow_azml.emulator", "--port", str(self.port)]
        command += ["--tls-port", str(self.tls_port), "--data", str(self.data)]
        with (self.data.parent / "emulator.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(300):
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return self
            except requests.ConnectionError:
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
            form = {
                "grant_type": "client_credentials",
                "client_id": "local",
                "client_secret": "local",
                "scope": "https://management.azure.com/.default",
            }
            answer = requests.post(f"{self.url}/local/oauth2/v2.0/token", data=form, timeout=10)
            self._token = answer.json()["access_token"]
        return self._token

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call a path (or an absolute URL that the emulator handed out) with a valid token."""
        url = path if path.startswith("http") else self.url + path
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def arm(self, method: str, path: str = "", **options: Any) -> requests.Response:
        """Call a path below the workspace on Resource Manager."""
        params = {"api-version": "2023-10-01", **options.pop("params", {})}
        return self.call(method, WORKSPACE + path, params=params, **options)


def wait_until(condition: Any, seconds: float = 60) -> Any:
    """Return the condition's first true value; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")


@pytest.fixture(scope="session")
def until() -> Any:
    """`wait_until`, for test modules, which cannot import this file."""
    return wait_until


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """One emulator for a module's tests."""
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator") / "data").start()
    yield process
    process.stop()


@pytest.fixture
def fresh_emulator(tmp_path: Path) -> Iterator[EmulatorProcess]:
    """An emulator for one test, to be killed and restarted at will."""
    process = EmulatorProcess(tmp_path / "data").start()
    yield process
    process.stop()


@dataclass
class Serving:
    """Deploys entry scripts to an emulator and scores, step by step as a v2 client does."""

    emulator: EmulatorProcess

    def upload(self, files: dict[str, str]) -> str:
        """Upload files to a place of their own and return its URI."""
        pending = self.emulator.arm("POST", "/codes/c/versions/1/startPendingUpload", json={}).json()
        reference = pending["blobReferenceForConsumption"]
        address, _, query = reference["credential"]["sasUri"].partition("?")
        for name, text in files.items():
            headers = {"x-ms-blob-type": "BlockBlob"}
            answer = requests.put(f"{address}/{name}?{query}", data=text.encode(), headers=headers, timeout=30)
            assert answer.status_code == 201, answer.text
        return str(reference["blobUri"])

    def put(self, path: str, body: dict[str, Any]) -> str:
        """Create a resource and return its id."""
        answer = self.emulator.arm("PUT", path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        return str(answer.json()["id"])

    def endpoint(self, name: str, mode: str = "Key", traffic: dict[str, int] | None = None) -> None:
        """Create an endpoint, or set its traffic, and wait."""
        body = {"location": "eastus", "properties": {"authMode": mode, "traffic": traffic or {}}}
        self.put(f"/onlineEndpoints/{name}", body)
        self.wait(f"/onlineEndpoints/{name}")

    def wait(self, path: str, state: str = "Succeeded") -> dict[str, Any]:
        """Wait until a resource has a provisioning state and return its properties."""

        def properties() -> dict[str, Any] | None:
            found: dict[str, Any] = self.emulator.arm("GET", path).json()["properties"]
            return found if found["provisioningState"] in {state, "Failed", "Canceled"} else None

        reached: dict[str, Any] = wait_until(properties, 120)
        assert reached["provisioningState"] == state, self.emulator.arm("POST", f"{path}/getLogs", json={}).text
        return reached

    def begin(self, endpoint: str, name: str, script: str, **properties: Any) -> requests.Response:
        """Begin to deploy a script."""
        unique = uuid.uuid4().hex
        uri = self.upload({"src/score.py": script})
        code = self.put(f"/codes/{unique}/versions/1", {"properties": {"codeUri": f"{uri}/src"}})
        environment = self.put("/environments/plain/versions/1", {"properties": {"image": "python"}})
        spec = {
            "endpointComputeType": "Managed",
            "codeConfiguration": {"codeId": code, "scoringScript": "score.py"},
            "environmentId": environment,
            **properties,
        }
        body = {"location": "eastus", "sku": {"name": "Default", "capacity": 1}, "properties": spec}
        return self.emulator.arm("PUT", f"/onlineEndpoints/{endpoint}/deployments/{name}", json=body)

    def deploy(self, endpoint: str, name: str, script: str, **properties: Any) -> None:
        """Deploy a script and wait until it serves."""
        answer = self.begin(endpoint, name, script, **properties)
        assert answer.status_code in {200, 201}, answer.text
        self.wait(f"/onlineEndpoints/{endpoint}/deployments/{name}")

    def key(self, endpoint: str) -> str:
        """Return the endpoint's primary key."""
        return str(self.emulator.arm("POST", f"/onlineEndpoints/{endpoint}/listKeys").json()["primaryKey"])

    def score(self, endpoint: str, data: Any, **headers: str) -> requests.Response:
        """Score with the endpoint's key."""
        uri = self.emulator.arm("GET", f"/onlineEndpoints/{endpoint}").json()["properties"]["scoringUri"]
        headers = {"Authorization": f"Bearer {self.key(endpoint)}", **headers}
        return requests.post(uri, json=data, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def serving(emulator: EmulatorProcess) -> Serving:
    """Deploys to the module's emulator."""
    return Serving(emulator)


@pytest.fixture
def fresh_serving(fresh_emulator: EmulatorProcess) -> Serving:
    """Deploys to the test's own emulator."""
    return Serving(fresh_emulator)
