"""Computes of a workspace: AmlCompute clusters and what else is attached.

https://learn.microsoft.com/rest/api/azureml/compute
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from airflow_azml.client.api_versions import CLASSIC, INSTANCES
from airflow_azml.client.lifecycle import Observation, Phase
from airflow_azml.client.merging import differences, refuse
from airflow_azml.client.names import check_compute_name
from airflow_azml.client.resources.resource import PROVISIONING, Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.specs import az_ml
from airflow_azml.client.specs.aml_compute import AmlComputeSpec
from airflow_azml.client.transport.errors import ConflictError, InputError, ServiceError
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_azml.client.lifecycle import Target

UnderlyingAction = Literal["Delete", "Detach"]


class Compute(Value, frozen=True):
    """A compute as the service describes it.

    :param provisioning_state: of the resource: Creating, Updating, Deleting, Succeeded, Failed, Canceled, Unknown.
    :param allocation_state: of a cluster: Steady or Resizing.
    :param state: of a compute instance: Starting, Running, JobRunning, Stopping, Stopped ...; empty for a cluster.
    :param scale_settings: minNodeCount, maxNodeCount, nodeIdleTimeBeforeScaleDown (an ISO 8601 duration).
    :param failures: what went wrong with the resource and with its nodes, as the service says it; see `errors`.
    """

    levels = 2
    name: str = ""
    location: str = ""
    compute_type: str = ""
    vm_size: str = ""
    vm_priority: str = ""
    provisioning_state: str = "Unknown"
    allocation_state: str = ""
    state: str = ""
    scale_settings: Mapping[str, Any] = {}
    current_nodes: int = msgspec.field(default=0, name="currentNodeCount")
    provisioning_errors: tuple[Any, ...] = ()
    node_errors: tuple[Any, ...] = msgspec.field(default=(), name="errors")

    @property
    def errors(self) -> tuple[str, ...]:
        """What went wrong with the resource and with its nodes, as readable sentences."""
        return tuple(Reason.of(failure).text for failure in (*self.provisioning_errors, *self.node_errors))

    @property
    def inner(self) -> Json:
        """The properties that computes of its type have."""
        outer: Json = self.raw.get("properties") or {}
        return outer.get("properties") or {}


class Computes(Resource):
    """Create, read and delete computes."""

    kind = "computes"
    names = ("compute_name",)
    facts = ("state", "vm_size", "current_nodes", "scale_settings")

    def ensure(self, name: str, **wanted: Any) -> Target:
        """Create a cluster, or change its scale settings where they differ; what is not named stays as it is.

        Another VM size, priority or property is refused with a ConflictError: a PUT would replace the cluster for good.

        :param wanted: see :meth:`airflow_azml.client.specs.aml_compute.AmlComputeSpec.read`.
        """
        spec, url = AmlComputeSpec.read(**wanted), self._url(name)
        raw = self.found(url, INSTANCES)
        if raw is None:
            self.routing.require()
            return self._put(name, self._checked(spec.body(name)))
        there = Compute.of(raw)
        _check_same_machine(there, spec)
        scale = _changed_scale(there, spec)
        return self.target(name) if scale is None else self.update_scale(name, scale)

    def create(self, name: str, spec: Json) -> Target:
        """Create a compute of any type; ConflictError when there is one of that name: a PUT would replace it for good.

        :param spec: the resource's JSON: ``location``, and ``properties`` with ``computeType`` and again
            ``properties`` (vmSize, scaleSettings, userAccountCredentials ...). Without a location it is put where the
            workspace is.
        """
        az_ml.refuse(spec, "spec", "the compute's JSON as the REST API has it: properties, location")
        checked = self._checked(spec)
        if self.found(self._url(name), INSTANCES) is not None:
            raise ConflictError(
                "it exists, and creating it would replace it for good",
                operation=f"create compute {name}",
                remedy="Delete the compute first, or choose another name.",
                permanent=True,
            )
        return self._put(name, checked)

    def get(self, name: str) -> Compute:
        """Return a compute; NotFoundError when there is none."""
        return Compute.of(self.read(self._url(name), INSTANCES))

    def list(self) -> Iterator[Compute]:
        """Yield all computes of the workspace."""
        return map(Compute.of, self.rows(self.arm("computes"), INSTANCES))

    def update_scale(self, name: str, scale_settings: Json) -> Target:
        """Change minNodeCount, maxNodeCount and nodeIdleTimeBeforeScaleDown of a cluster."""
        # 2019-11-01 flattens this body by one level, see ClusterUpdateProperties in its specification.
        body = {"properties": {"scaleSettings": dict(scale_settings)}}
        return self._sent("PATCH", name, "update compute", CLASSIC, body)

    def delete(self, name: str, underlying_resource_action: UnderlyingAction = "Delete") -> Target:
        """Delete a compute.

        :param underlying_resource_action: ``Delete`` the machines too, or only ``Detach`` them from the workspace.
        """
        if underlying_resource_action not in get_args(UnderlyingAction):
            rule = f"must be one of {', '.join(get_args(UnderlyingAction))}"
            raise InputError("underlying_resource_action", underlying_resource_action, rule)
        params = {**CLASSIC, "underlyingResourceAction": underlying_resource_action}
        return self.deleted(self.target(name), self._url(name), params)

    def nodes(self, name: str) -> tuple[Json, ...]:
        """Return the nodes of a cluster: nodeId, nodeState, runId."""
        url = f"{self._url(name)}/listNodes"
        rows = self.http.pages(
            "POST", url, operation="list compute nodes", params=CLASSIC, retry="always", items="nodes"
        )
        return tuple(rows)

    def observe(self, target: Target) -> Observation:
        """Return the state of its provisioning, and what went wrong."""
        compute = self.get(target.name)
        return Observation.of(self.statuses, compute.provisioning_state, "; ".join(compute.errors))

    def page(self, target: Target) -> str:
        """Return the path of its page in Azure ML studio."""
        return compute_page(target.name)

    def result(self, target: Target) -> dict[str, Any]:
        """Return its name, states, VM size and nodes."""
        compute = self.get(target.name)
        return {
            "compute_name": compute.name,
            "provisioning_state": compute.provisioning_state,
            "state": compute.state or compute.allocation_state,
            "vm_size": compute.vm_size,
            "current_nodes": compute.current_nodes,
            "scale_settings": dict(compute.scale_settings),
        }

    def _put(self, name: str, spec: Json) -> Target:
        body = {**spec, "location": spec.get("location") or self.routing.location}
        kind = str((spec.get("properties") or {}).get("computeType") or "")
        version = INSTANCES if kind.casefold() == "computeinstance" else CLASSIC
        return self._sent("PUT", name, "create compute", version, body)

    def _sent(self, method: str, name: str, operation: str, params: Json, body: Json) -> Target:
        response = self.http.request(method, self._url(name), operation=operation, params=params, json=body)
        return replace(self.target(name), operation=Operation.started_by(response))

    def _checked(self, spec: Json) -> Json:
        """Return the spec. Its credentials must stand where the specification has them; the password is a secret."""
        outer = spec.get("properties") or {}
        if "userAccountCredentials" in spec or "userAccountCredentials" in outer:
            raise InputError(
                "userAccountCredentials", None, "belongs in properties.properties; elsewhere the service ignores it"
            )
        credentials = (outer.get("properties") or {}).get("userAccountCredentials") or {}
        self.http.secret(credentials.get("adminUserPassword"))
        return spec

    def _url(self, name: str) -> str:
        return self.arm("computes", check_compute_name(name))


def compute_page(name: str) -> str:
    """Return the path of a compute's page in studio."""
    return f"/compute/{quote(name, safe='')}/details"


def _changed_scale(there: Compute, wanted: AmlComputeSpec) -> dict[str, Any] | None:
    """Return the scale settings to send so that they are as wanted; None when they are so already."""
    scale = wanted.scale_over(there.scale_settings)
    differing = differences(there.scale_settings, scale, path="scaleSettings.")
    if not differing:
        return None
    state = there.provisioning_state
    if Observation.of(PROVISIONING, state).phase is Phase.ACTIVE:  # the service would refuse another change now
        raise ConflictError(
            f"it is {state}: {'; '.join(f'{path} {words}' for path, words in differing.items())}",
            operation=f"update compute {there.name}",
            remedy="Try again when it has settled.",
        )
    return scale


def _check_same_machine(there: Compute, wanted: AmlComputeSpec) -> None:
    """Raise unless the compute that is there can be made as wanted by other scale settings alone."""
    _check_state(there)
    for what, is_there, is_wanted in (
        ("compute type", there.compute_type, "AmlCompute"),
        ("VM size", there.vm_size, wanted.vm_size or there.vm_size),
        ("VM priority", there.vm_priority, (there.vm_priority and wanted.vm_priority) or there.vm_priority),
    ):
        if is_there.casefold() != is_wanted.casefold():
            raise ConflictError(
                f"a compute of that name exists with {what} {is_there}, not {is_wanted}, and that cannot be changed",
                operation=f"create compute {there.name}",
                remedy="Delete the compute first, or choose another name.",
                permanent=True,
            )
    refuse(f"compute {there.name}", differences(there.inner, _comparable(there.inner, wanted.more)))


def _check_state(there: Compute) -> None:
    """Raise when what is there is being deleted, or has failed."""
    operation, state = f"create compute {there.name}", there.provisioning_state
    if state.casefold() == "deleting":
        raise ServiceError("it is still being deleted; try again when it is gone", operation=operation)
    if Observation.of(PROVISIONING, state).phase.failed:
        raise ConflictError(
            f"a compute of that name exists and is {state}: {'; '.join(there.errors) or 'the service gives no reason'}",
            operation=operation,
            remedy="Delete it first.",
            permanent=True,
        )


def _comparable(there: Json, more: Json) -> dict[str, Any]:
    """Return the properties that the service shows, so that they can be compared; it shows no password or key."""
    shown = {name: value for name, value in more.items() if name in there}
    if credentials := shown.pop("userAccountCredentials", None):
        known = there.get("userAccountCredentials") or {}
        shown["userAccountCredentials"] = {key: credentials[key] for key in ("adminUserName",) if known.get(key)}
    return shown
