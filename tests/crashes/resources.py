"""The kinds of resources that a crash campaign creates, changes and deletes, each with a mark in two places.

When the two places of a resource tell of different writes, half of a write was kept.
"""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any, Protocol

import requests
from victim import Victim

from airflow_azml.emulator.kernel import facts

GONE = 404
BLOBS = f"/_blob/{facts.STORAGE_ACCOUNT}/{facts.BLOBSTORE_CONTAINER}"
PATHS = "azureml://datastores/workspaceblobstore/paths"
SCRIPT = b"""
import os

def init():
    pass

def run(data):
    return os.environ["MARK"]
"""


class Kind(Protocol):
    """A kind of resource; each call is one request."""

    def put(self, name: str, mark: str) -> requests.Response:
        """Create or change a resource."""

    def delete(self, name: str) -> requests.Response:
        """Delete a resource."""

    def get(self, name: str) -> requests.Response:
        """Ask for a resource."""

    def marks(self, found: requests.Response) -> list[str]:
        """Return the marks of the resource that was found."""


class _Arm:
    """A kind of Resource Manager."""

    path = ""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim

    def put(self, name: str, mark: str) -> requests.Response:
        body = {"location": "eastus", "tags": {"mark": mark}, "properties": self.properties(mark)}
        return self.victim.arm("PUT", self.path + name, json={**body, **self.further()})

    def delete(self, name: str) -> requests.Response:
        return self.victim.arm("DELETE", self.path + name)

    def get(self, name: str) -> requests.Response:
        return self.victim.arm("GET", self.path + name)

    def properties(self, mark: str) -> dict[str, Any]:
        raise NotImplementedError

    def further(self) -> dict[str, Any]:
        return {}


class Computes(_Arm):
    """Clusters: the mark is their number of nodes and a tag."""

    path = "/computes/"

    def delete(self, name: str) -> requests.Response:
        return self.victim.arm("DELETE", self.path + name, params={"underlyingResourceAction": "Delete"})

    def properties(self, mark: str) -> dict[str, Any]:
        scale = {"minNodeCount": 0, "maxNodeCount": int(mark), "nodeIdleTimeBeforeScaleDown": "PT1S"}
        return {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_DS3_V2", "scaleSettings": scale}}

    def marks(self, found: requests.Response) -> list[str]:
        body = found.json()
        return [body["tags"]["mark"], str(body["properties"]["properties"]["scaleSettings"]["maxNodeCount"])]


class Endpoints(_Arm):
    """Online endpoints: the mark is their description and a tag."""

    path = "/onlineEndpoints/"

    def properties(self, mark: str) -> dict[str, Any]:
        return {"authMode": "Key", "description": mark}

    def marks(self, found: requests.Response) -> list[str]:
        body = found.json()
        return [body["tags"]["mark"], body["properties"]["description"]]


class Deployments(_Arm):
    """Online deployments of one endpoint: the mark is a variable of their process and a tag."""

    endpoint = "served"
    path = f"/onlineEndpoints/{endpoint}/deployments/"

    def prepare(self) -> None:
        """Make what they need."""
        Endpoints(self.victim).put(self.endpoint, "0").raise_for_status()
        Blobs(self.victim).write("code/score.py", SCRIPT).raise_for_status()
        assets = {"codes/c": {"codeUri": f"{PATHS}/code"}, "environments/e": {"image": "python"}}
        for asset, properties in assets.items():
            self.victim.arm("PUT", f"/{asset}/versions/1", json={"properties": properties}).raise_for_status()

    def properties(self, mark: str) -> dict[str, Any]:
        code = {"codeId": "azureml:c:1", "scoringScript": "score.py"}
        variables = {"MARK": mark}
        return {"endpointComputeType": "Managed", "codeConfiguration": code, "environmentId": "azureml:e:1"} | {
            "environmentVariables": variables
        }

    def further(self) -> dict[str, Any]:
        return {"sku": {"name": "Default", "capacity": 1}}

    def marks(self, found: requests.Response) -> list[str]:
        body = found.json()
        return [body["tags"]["mark"], body["properties"]["environmentVariables"]["MARK"]]

    def wait(self, name: str) -> None:
        """Wait until a deployment serves."""
        while self.get(name).json()["properties"]["provisioningState"] == "Creating":
            time.sleep(0.5)
        assert self.score(name) == "0"

    def score(self, name: str) -> str:
        """Return the mark that the deployment's process answers with; a deployment that answers no 200 has none."""
        key = self.victim.arm("POST", f"/onlineEndpoints/{self.endpoint}/listKeys").json()["primaryKey"]
        endpoint = self.victim.arm("GET", f"/onlineEndpoints/{self.endpoint}").json()
        headers = {"Authorization": f"Bearer {key}", "azureml-model-deployment": name}
        answer = requests.post(endpoint["properties"]["scoringUri"], json={}, headers=headers, timeout=60)
        return str(answer.json()) if answer.ok else ""


class Models:
    """Versions of a model: the mark is their description and a tag."""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim

    def prepare(self) -> None:
        """Make what they need."""
        Blobs(self.victim).write("weights", b"weights").raise_for_status()

    def put(self, name: str, mark: str) -> requests.Response:
        properties = {"modelUri": f"{PATHS}/weights", "tags": {"mark": mark}, "description": mark}
        return self.victim.arm("PUT", self._path(name), json={"properties": properties})

    def delete(self, name: str) -> requests.Response:
        return self.victim.arm("DELETE", self._path(name))

    def get(self, name: str) -> requests.Response:
        return self.victim.arm("GET", self._path(name))

    def marks(self, found: requests.Response) -> list[str]:
        properties = found.json()["properties"]
        return [properties["tags"]["mark"], properties["description"]]

    @staticmethod
    def _path(name: str) -> str:
        model, version = name.split(".")
        return f"/models/{model}/versions/{version}"


class Blobs:
    """Blobs: the mark is their content, with its MD5, and a metadata header."""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim

    def put(self, name: str, mark: str) -> requests.Response:
        return self.write(name, f"{mark} ".encode() * 5000, **{"x-ms-meta-mark": mark})

    def write(self, name: str, content: bytes, **headers: str) -> requests.Response:
        """Write any blob."""
        headers |= {"x-ms-blob-type": "BlockBlob", "Content-MD5": _md5(content)}
        return self.victim.call("PUT", f"{BLOBS}/{name}", data=content, headers=headers)

    def delete(self, name: str) -> requests.Response:
        return self.victim.call("DELETE", f"{BLOBS}/{name}")

    def get(self, name: str) -> requests.Response:
        return self.victim.call("GET", f"{BLOBS}/{name}")

    def marks(self, found: requests.Response) -> list[str]:
        agrees = found.headers.get("Content-MD5") == _md5(found.content)
        return [*set(found.text.split()), found.headers.get("x-ms-meta-mark", "none"), *(() if agrees else ("MD5",))]


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def marked(kind: Kind, found: requests.Response) -> str | None:
    """Return a resource's mark, or all that it has when they differ; None when it is gone."""
    if found.status_code == GONE:
        return None
    found.raise_for_status()
    return "|".join(sorted(set(kind.marks(found))))
