"""Compute targets of a workspace: AmlCompute clusters and what else is attached.

https://learn.microsoft.com/rest/api/azureml/compute
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_azml.client import versions
from airflow_azml.client.names import check_compute_name
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import ConflictError, InputError, NotFoundError
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UnderlyingAction = Literal["Delete", "Detach"]


@dataclass(frozen=True, slots=True)
class Compute:
    """A compute as the service describes it.

    :param provisioning_state: of the resource: Creating, Updating, Deleting, Succeeded, Failed, Canceled, Unknown.
    :param allocation_state: of a cluster: Steady or Resizing.
    :param state: of a compute instance: Starting, Running, JobRunning, Stopping, Stopped ...; empty for a cluster.
    :param scale_settings: minNodeCount, maxNodeCount, nodeIdleTimeBeforeScaleDown (an ISO 8601 duration).
    :param errors: what went wrong, as readable sentences.
    :param operation: of the PUT, PATCH or DELETE that has just been sent, else None.
    :param raw: the answer's JSON.
    """

    name: str
    location: str
    compute_type: str
    vm_size: str
    vm_priority: str
    provisioning_state: str
    allocation_state: str
    state: str
    scale_settings: Mapping[str, Any]
    current_nodes: int
    errors: tuple[str, ...]
    raw: Mapping[str, Any]
    operation: Operation | None = None

    @property
    def inner(self) -> Mapping[str, Any]:
        """The properties that computes of its type have."""
        outer: Mapping[str, Any] = self.raw.get("properties") or {}
        return outer.get("properties") or {}

    @classmethod
    def parse(cls, raw: Mapping[str, Any], operation: Operation | None = None) -> Compute:
        """Read the service's JSON."""
        outer: Mapping[str, Any] = raw.get("properties") or {}
        inner: Mapping[str, Any] = outer.get("properties") or {}
        failures = [*(outer.get("provisioningErrors") or ()), *(inner.get("errors") or ())]
        reasons = [Reason.of(failure) for failure in failures]
        return cls(
            name=str(raw.get("name") or ""),
            location=str(raw.get("location") or outer.get("computeLocation") or ""),
            compute_type=str(outer.get("computeType") or ""),
            vm_size=str(inner.get("vmSize") or ""),
            vm_priority=str(inner.get("vmPriority") or ""),
            provisioning_state=str(outer.get("provisioningState") or "Unknown"),
            allocation_state=str(inner.get("allocationState") or ""),
            state=str(inner.get("state") or ""),
            scale_settings=inner.get("scaleSettings") or {},
            current_nodes=int(inner.get("currentNodeCount") or 0),
            errors=tuple(": ".join(part for part in (reason.code, reason.message) if part) for reason in reasons),
            raw=raw,
            operation=operation,
        )


class Computes(Service):
    """Create, read and delete computes."""

    def create(self, name: str, spec: Mapping[str, Any]) -> Compute:
        """Create a compute; ConflictError when there is one of that name, which a PUT would replace for good.

        :param spec: the resource's JSON: ``location``, and ``properties`` with ``computeType`` and again
            ``properties`` (vmSize, scaleSettings, userAccountCredentials ...). Without a location it is put where the
            workspace is.
        """
        self._keep_passwords(spec)
        if self.find(name) is not None:
            raise ConflictError(
                "it exists, and creating it would replace it for good",
                operation=f"create compute {name}",
                remedy="Delete the compute first, or choose another name.",
                permanent=True,
            )
        kind = str((spec.get("properties") or {}).get("computeType") or "")
        body = {
            "location": spec.get("location") or self.routing.location,
            **{k: v for k, v in spec.items() if k != "location"},
        }
        response = self.http.request(
            "PUT",
            self._url(name),
            operation="create compute",
            params=versions.INSTANCES if kind.casefold() == "computeinstance" else versions.CLASSIC,
            json=body,
        )
        return Compute.parse(response.json(), Operation.started_by(response))

    def get(self, name: str) -> Compute:
        """Return a compute; NotFoundError when there is none."""
        return Compute.parse(self.http.json("GET", self._url(name), operation="get compute", params=versions.INSTANCES))

    def find(self, name: str) -> Compute | None:
        """Return a compute, or None."""
        with suppress(NotFoundError):
            return self.get(name)
        return None

    def update_scale(self, name: str, scale_settings: Mapping[str, Any]) -> Compute:
        """Change minNodeCount, maxNodeCount and nodeIdleTimeBeforeScaleDown of a cluster."""
        # 2019-11-01 flattens this body by one level, see ClusterUpdateProperties in its specification.
        body = {"properties": {"scaleSettings": dict(scale_settings)}}
        response = self.http.request(
            "PATCH", self._url(name), operation="update compute", params=versions.CLASSIC, json=body
        )
        return Compute.parse(response.json(), Operation.started_by(response))

    def delete(self, name: str, underlying_resource_action: UnderlyingAction = "Delete") -> Operation | None:
        """Delete a compute; None when there was none.

        :param underlying_resource_action: ``Delete`` the machines too, or only ``Detach`` them from the workspace.
        """
        if underlying_resource_action not in get_args(UnderlyingAction):
            rule = f"must be one of {', '.join(get_args(UnderlyingAction))}"
            raise InputError("underlying_resource_action", underlying_resource_action, rule)
        params = {**versions.CLASSIC, "underlyingResourceAction": underlying_resource_action}
        response = self.http.request("DELETE", self._url(name), operation="delete compute", params=params, allow=(404,))
        return None if response.status_code in {204, 404} else Operation.started_by(response)

    def nodes(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return the nodes of a cluster: nodeId, nodeState, runId."""
        url = f"{self._url(name)}/listNodes"
        return tuple(
            self.http.pages(
                "POST", url, operation="list compute nodes", params=versions.CLASSIC, retry="always", items="nodes"
            )
        )

    def start(self, name: str) -> Operation:
        """Start a compute instance; one that runs is left as it is."""
        return self._act(name, "start")

    def stop(self, name: str) -> Operation:
        """Stop a compute instance: its disk stays, its machine costs nothing any more."""
        return self._act(name, "stop")

    def restart(self, name: str) -> Operation:
        """Restart a compute instance."""
        return self._act(name, "restart")

    def list(self) -> Iterator[Compute]:
        """Yield all computes of the workspace."""
        rows = self.http.pages("GET", self.arm("computes"), operation="list computes", params=versions.INSTANCES)
        return (Compute.parse(row) for row in rows)

    def _url(self, name: str) -> str:
        return self.arm("computes", check_compute_name(name))

    def _act(self, name: str, verb: str) -> Operation:
        response = self.http.request(
            "POST", f"{self._url(name)}/{verb}", operation=f"{verb} compute", params=versions.INSTANCES,
            retry="always",
        )  # fmt: skip
        return Operation.started_by(response)

    def _keep_passwords(self, spec: Mapping[str, Any]) -> None:
        """Check that credentials stand where the specification has them, and tell about the password."""
        if "userAccountCredentials" in spec or "userAccountCredentials" in (spec.get("properties") or {}):
            raise InputError(
                "userAccountCredentials", None, "belongs in properties.properties; elsewhere the service ignores it"
            )
        inner = (spec.get("properties") or {}).get("properties") or {}
        self.http.secret((inner.get("userAccountCredentials") or {}).get("adminUserPassword"))
