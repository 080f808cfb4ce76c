"""Fixtures of the emulator's tests: deploying to it, step by step as a v2 client does."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from emulator_process import EmulatorProcess, wait_until


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

        reached: dict[str, Any] = wait_until(properties, 240)
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

    def ended(self, answer: requests.Response) -> dict[str, Any] | None:
        """Return the operation that an answer has begun; None while it is under way."""
        operation: dict[str, Any] = self.emulator.call("GET", answer.headers["Azure-AsyncOperation"]).json()
        return operation if operation["status"] != "Updating" else None

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
