"""Deployments of an online endpoint (v2): a model, its environment and scoring code, on machines of its own.

https://learn.microsoft.com/rest/api/azureml/online-deployments
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.client import versions
from airflow_azml.client.lifecycle import Kind, Phase, phase_of
from airflow_azml.client.merging import change, merged
from airflow_azml.client.names import check_deployment_name, check_endpoint_name
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import NotFoundError
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.values import whole_number, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Container = Literal["InferenceServer", "StorageInitializer"]
# Members that the specification lets only a new deployment have otherwise.
_FIXED = ("location", "properties.instanceType", "properties.endpointComputeType")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as the service describes it.

    :param provisioning_state: Creating, Updating, Scaling, Deleting, Succeeded, Failed, Canceled.
    :param model: ARM id of the model version.
    :param instance_count: machines.
    :param operation: of the PUT or DELETE that has just been sent, else None.
    :param raw: the answer's JSON.
    """

    name: str
    location: str
    provisioning_state: str
    model: str
    instance_type: str
    instance_count: int
    tags: Mapping[str, str]
    raw: Mapping[str, Any]
    operation: Operation | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any], operation: Operation | None = None) -> Deployment:
        """Read the service's JSON."""
        inner: Mapping[str, Any] = raw.get("properties") or {}
        return cls(
            name=str(raw.get("name") or ""),
            location=str(raw.get("location") or ""),
            provisioning_state=str(inner.get("provisioningState") or "Unknown"),
            model=str(inner.get("model") or ""),
            instance_type=str(inner.get("instanceType") or ""),
            instance_count=int((raw.get("sku") or {}).get("capacity") or 0),
            tags=raw.get("tags") or {},
            raw=raw,
            operation=operation,
        )


class Deployments(Service):
    """Create, read and delete deployments."""

    def ensure(self, endpoint: str, name: str, spec: Mapping[str, Any], *, instance_type: str = "") -> Deployment:
        """Create a deployment, or change what differs from the spec; return it as it is now, maybe still on its way.

        :param spec: the resource's JSON: ``properties`` (model, environmentId, codeConfiguration, instanceType ...),
            ``sku``, ``tags``, ``location``. What it does not name stays as it is; a new deployment has one managed
            machine, where the workspace is.
        :param instance_type: of a new deployment, when the spec names none.
        """
        wanted = with_texts(spec)
        try:
            there = self.get(endpoint, name)
        except NotFoundError:
            new = {"endpointComputeType": "Managed", "instanceType": instance_type or None}
            sku = {"name": "Default", "capacity": 1}
            body = merged({"location": self.routing.location, "sku": sku, "properties": merged({}, new)}, wanted)
            return self._put(endpoint, name, body, "create deployment")
        return self._update(endpoint, there, wanted)

    def get(self, endpoint: str, name: str) -> Deployment:
        """Return a deployment; NotFoundError when there is none."""
        return Deployment.parse(
            self.http.json("GET", self._url(endpoint, name), operation="get deployment", params=versions.ASSETS)
        )

    def delete(self, endpoint: str, name: str) -> Operation | None:
        """Delete a deployment, which should have no traffic any more; None when there was none."""
        response = self.http.request(
            "DELETE", self._url(endpoint, name), operation="delete deployment", params=versions.ASSETS, allow=(404,)
        )
        return None if response.status_code in {204, 404} else Operation.started_by(response)

    def scale(self, endpoint: str, name: str, instance_count: int) -> Deployment:
        """Give a deployment another number of machines; the rest of it stays as it is."""
        capacity = whole_number("instance_count", instance_count, at_least=1)
        return self._update(endpoint, self.get(endpoint, name), {"sku": {"name": "Default", "capacity": capacity}})

    def logs(self, endpoint: str, name: str, tail: int = 100, container: Container = "InferenceServer") -> str:
        """Return the last lines that a container of the deployment has printed."""
        answer = self.http.json(
            "POST", f"{self._url(endpoint, name)}/getLogs", operation="get deployment logs", params=versions.ASSETS,
            json={"tail": tail, "containerType": container}, retry="always",
        )  # fmt: skip
        return str(answer.get("content") or "")

    def list(self, endpoint: str) -> Iterator[Deployment]:
        """Yield the deployments of an endpoint."""
        url = self.arm("onlineEndpoints", check_endpoint_name(endpoint), "deployments")
        return (
            Deployment.parse(row)
            for row in self.http.pages("GET", url, operation="list deployments", params=versions.ASSETS)
        )

    def _update(self, endpoint: str, there: Deployment, wanted: Mapping[str, Any]) -> Deployment:
        """Put the deployment with what is wanted, if anything differs or it has failed."""
        broken = phase_of(Kind.DEPLOYMENT, there.provisioning_state) in {Phase.FAILED, Phase.CANCELED}
        what = f"deployment {there.name} of endpoint {endpoint}"
        body = change(there.raw, wanted, what=what, fixed=_FIXED, again=broken)
        return self._put(endpoint, there.name, body, "update deployment") if body else there

    def _put(self, endpoint: str, name: str, body: Mapping[str, Any], operation: str) -> Deployment:
        url = self._url(endpoint, name)
        response = self.http.request("PUT", url, operation=operation, params=versions.ASSETS, json=body)
        return Deployment.parse(response.json(), Operation.started_by(response))

    def _url(self, endpoint: str, name: str) -> str:
        return self.arm("onlineEndpoints", check_endpoint_name(endpoint), "deployments", check_deployment_name(name))
