"""What is asked of an emulator so that its answers can be held against recordings: every operation that both have.

The requests are those of a user's day, in the order in which one needs them. Every answer is kept, also those of the
polling of operations. Reads are asked in two api-versions, because the service shows some members from one on.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from dataclasses import dataclass, field
from typing import Any

import requests
from emulator_process import SUBSCRIPTION, TENANT, WORKSPACE, EmulatorProcess, wait_until

VERSIONS = ("2023-10-01", "2025-01-01-preview")
HOST = "https://management.azure.com"
SCORE = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"
SIZE = "STANDARD_D2_V2"
ENVIRONMENT = {"image": "python:3.12", "condaFile": "name: e\ndependencies: []\n", "description": "for shapes"}
PLAIN = {"python": {"userManagedDependencies": True}}
ENDED = {"Succeeded", "Failed", "Canceled"}


@dataclass(frozen=True)
class Answer:
    """An answer of the emulator to a request."""

    method: str
    url: str
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Traffic:
    """Talks to an emulator and keeps all its answers.

    :param emulator: the emulator; its speed is `real`, its waits are short.
    """

    emulator: EmulatorProcess
    answers: list[Answer] = field(default_factory=list)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with a token and keep its answer."""
        return self.keep(self.emulator.call(method, path, **options))

    def keep(self, answer: requests.Response) -> requests.Response:
        """Keep an answer, with addresses that lead to Azure's own host as the recordings have them."""
        text = answer.text.replace(self.emulator.url, HOST)
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = text
        headers = {name: value.replace(self.emulator.url, HOST) for name, value in answer.headers.items()}
        url = (answer.request.url or "").replace(self.emulator.url, HOST)
        self.answers.append(Answer(str(answer.request.method), url, answer.status_code, headers, body))
        return answer

    def arm(self, method: str, path: str = "", root: str = WORKSPACE, **options: Any) -> requests.Response:
        """Send a request to Resource Manager; a GET in both api-versions."""
        params = options.pop("params", {})
        for version in VERSIONS[1:] if method == "GET" else ():
            self.call(method, root + path, params={"api-version": version, **params}, **options)
        return self.call(method, root + path, params={"api-version": VERSIONS[0], **params}, **options)

    def regional(self, method: str, service: str, path: str, **options: Any) -> requests.Response:
        """Send a request to a regional service such as `history/v1.0`."""
        return self.call(method, f"/{service}{WORKSPACE}{path}", **options)

    def operation(self, begun: requests.Response) -> None:
        """Follow the operation that an answer began, by each address that leads to it, until it has ended."""
        assert begun.status_code in {200, 201, 202}, begun.text
        for header in ("Azure-AsyncOperation", "Location"):
            address = begun.headers.get(header, "")
            if "/locations/" in address:
                wait_until(lambda address=address: self._ended(self.call("GET", address)), 240, every=0.3)

    @staticmethod
    def _ended(answer: requests.Response) -> bool:
        if answer.status_code != 200 or not answer.content:
            return answer.status_code != 202
        return answer.json().get("status") in ENDED

    def everything(self) -> list[Answer]:
        """Ask for everything and return all answers."""
        self.arm_itself()
        self.computes()
        self.assets()
        self.models()
        self.runs()
        self.endpoints()
        return self.answers

    def arm_itself(self) -> None:
        """Sign in, and find the workspace and the regional services."""
        form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": self.emulator.secret}
        form["scope"] = "https://management.azure.com/.default"
        url = f"{self.emulator.url}/{TENANT}/oauth2/v2.0/token"
        headers = {"client-request-id": str(uuid.uuid4())}
        self.keep(requests.post(url, data=form, headers=headers, timeout=10))
        self.keep(requests.get(f"{self.emulator.url}/discovery", timeout=10))
        for path in ("/subscriptions", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/local"):
            self.call("GET", path, params={"api-version": "2022-09-01"})
        self.arm("GET")
        self.arm("GET", root=WORKSPACE.rpartition("/")[0])
        self.arm("GET", root=WORKSPACE.removesuffix("local") + "nothing")
        for family in ("compute", "mfe"):
            for what in ("sStatus", "Results"):
                path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/eastus"
                self.arm("GET", f"{path}/{family}Operation{what}/{uuid.uuid4()}", root="")

    def computes(self) -> None:
        """Create, list, change and delete a cluster and an instance, and stop and start the instance."""
        for most in (2, 3):
            self.operation(self.arm("PUT", "/computes/cpu", json=_compute("AmlCompute", _cluster(most))))
        body = {"properties": {"properties": {"scaleSettings": _cluster(2)["scaleSettings"]}}}
        self.operation(self.arm("PATCH", "/computes/cpu", json=body))
        for path in ("/computes/cpu", "/computes", "/computes/nothing"):
            self.arm("GET", path)
        self.arm("POST", "/computes/cpu/listNodes")
        instance = {**_compute("ComputeInstance", {"vmSize": SIZE}), "identity": {"type": "SystemAssigned"}}
        self.operation(self.arm("PUT", "/computes/inst1", json=instance))
        self.arm("GET", "/computes/inst1")
        for action in ("stop", "start"):
            self.operation(self.arm("POST", f"/computes/inst1/{action}"))
        self.operation(self.arm("DELETE", "/computes/inst1", params={"underlyingResourceAction": "Delete"}))
        self.arm("DELETE", "/computes/nothing", params={"underlyingResourceAction": "Delete"})

    def assets(self) -> None:
        """Upload code, register it and an environment, and read both and the datastores."""
        code = f"/codes/{uuid.uuid4()}/versions/1"
        uri = self.uploaded(code, "score.py", SCORE)
        properties = {"hash_sha256": "0" * 64, "hash_version": "202208"}
        for _ in range(2):
            self.arm("PUT", code, json={"properties": {"codeUri": uri, "properties": properties}})
            self.arm("PUT", "/environments/e/versions/1", json={"properties": ENVIRONMENT})
        self.arm("GET", code)
        self.arm("GET", code.removesuffix("/1"), params={"hash": "0" * 64, "hashVersion": "202208"})
        for path in ("", "/e", "/e/versions", "/e/versions/1", "/nothing", "/e/versions/9", "/nothing/versions"):
            self.arm("GET", f"/environments{path}")
        for path in ("", "/workspaceblobstore", "/workspaceartifactstore", "/nothing"):
            self.arm("GET", f"/datastores{path}")
        self.arm("POST", "/datastores/workspaceblobstore/listSecrets")

    def uploaded(self, code: str, name: str, content: str) -> str:
        """Upload a file to a place that a code version is given; return the place."""
        pending = self.arm("POST", f"{code}/startPendingUpload", json={}).json()["blobReferenceForConsumption"]
        address, _, query = pending["credential"]["sasUri"].partition("?")
        headers = {"x-ms-blob-type": "BlockBlob"}
        answer = requests.put(f"{address}/{name}?{query}", data=content.encode(), headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(pending["blobUri"])

    def models(self) -> None:
        """Register, change and read a model."""
        uri = self.uploaded(f"/codes/{uuid.uuid4()}/versions/1", "model.pkl", "weights")
        for tags in ({"a": "1"}, {"a": "2"}):
            body = {"properties": {"modelUri": uri, "modelType": "custom_model", "tags": tags}}
            self.arm("PUT", "/models/m/versions/1", json=body)
        for path in ("", "/m", "/m/versions", "/m/versions/1", "/nothing", "/m/versions/9", "/nothing/versions"):
            self.arm("GET", f"/models{path}")

    def runs(self) -> None:
        """Run a script and read all that the run history says of it, and of a run that it never heard of."""
        run_id, of_experiment = "run_1", "/experiments/shapes/runs"
        self.regional("PATCH", "history/v1.0", f"{of_experiment}/parent_1", json={"runId": "parent_1"})
        definition = {"script": "main.py", "target": "cpu", "environment": PLAIN}
        files = {
            "runDefinitionFile": (
                "definition.json",
                json.dumps({"configuration": definition, "parentRunId": "parent_1"}),
            ),
            "projectZipFile": ("project.zip", _zipped("main.py", "print('hello')")),
        }
        start = "/experiments/shapes/startrun"
        self.regional("POST", "execution/v1.0", start, params={"runId": run_id}, files=files).raise_for_status()
        self.regional("PATCH", "history/v1.0", f"{of_experiment}/{run_id}", json={"runId": run_id, "name": "step"})
        wait_until(lambda: self.call("GET", f"/history/v1.0{WORKSPACE}/runs/{run_id}").json()["status"] == "Completed")
        for path in ("", "/details", "/children"):
            self.regional("GET", "history/v1.0", f"/runs/{run_id}{path}")
        body = {"runId": run_id, "selectRunMetadata": True, "selectRunDefinition": True, "selectJobSpecification": True}
        self.regional("POST", "history/v1.0", "/rundata", json=body)

    def endpoints(self) -> None:
        """Create an endpoint with a deployment, use both, and delete them."""
        body = {"location": "eastus", "properties": {"authMode": "Key"}}
        self.operation(self.arm("PUT", "/onlineEndpoints/ep1", json=body))
        self.arm("GET", "/onlineEndpoints/nothing")
        code = f"/codes/{uuid.uuid4()}/versions/1"
        code_id = self.arm("PUT", code, json={"properties": {"codeUri": self.uploaded(code, "score.py", SCORE)}})
        deployment = {
            "endpointComputeType": "Managed",
            "codeConfiguration": {"codeId": code_id.json()["id"], "scoringScript": "score.py"},
            "environmentId": f"{WORKSPACE}/environments/e/versions/1",
            "model": f"{WORKSPACE}/models/m/versions/1",
        }
        tracked = {"location": "eastus", "sku": {"name": "Default", "capacity": 1}, "properties": deployment}
        for tags in ({}, {"a": "1"}):
            self.operation(self.arm("PUT", "/onlineEndpoints/ep1/deployments/blue", json={**tracked, "tags": tags}))
        self.operation(self.arm("PATCH", "/onlineEndpoints/ep1/deployments/blue", json={"tags": {"b": "2"}}))
        self.operation(self.arm("PATCH", "/onlineEndpoints/ep1", json={"tags": {"b": "2"}}))
        for path in ("", "/ep1", "/ep1/deployments", "/ep1/deployments/blue", "/ep1/deployments/nothing"):
            self.arm("GET", f"/onlineEndpoints{path}")
        self.arm("POST", "/onlineEndpoints/ep1/listKeys")
        self.operation(self.arm("POST", "/onlineEndpoints/ep1/regenerateKeys", json={"keyType": "Primary"}))
        self.arm("POST", "/onlineEndpoints/ep1/deployments/blue/getLogs", json={})
        body["properties"]["authMode"] = "AMLToken"  # type: ignore[index] # a dict
        self.operation(self.arm("PUT", "/onlineEndpoints/ep2", json=body))
        self.arm("POST", "/onlineEndpoints/ep2/token")
        self.operation(self.arm("DELETE", "/onlineEndpoints/ep1/deployments/blue"))
        for name in ("ep1", "ep2"):
            self.operation(self.arm("DELETE", f"/onlineEndpoints/{name}"))


def _compute(kind: str, inner: dict[str, Any]) -> dict[str, Any]:
    return {"location": "eastus", "properties": {"computeType": kind, "properties": inner}}


def _cluster(most: int) -> dict[str, Any]:
    return {"vmSize": SIZE, "scaleSettings": {"minNodeCount": 1, "maxNodeCount": most}}


def _zipped(name: str, content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()
