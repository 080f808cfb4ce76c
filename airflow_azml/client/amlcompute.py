"""An AmlCompute cluster as it is wanted, and how to get there from what is there.

PUT overwrites a compute for good, so what exists is looked at first: an identical compute is kept, other scale
settings are updated, another VM size or priority is refused, since only deleting the compute could change it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from airflow_azml.client.lifecycle import Kind, Phase, phase_of
from airflow_azml.client.names import check_compute_name
from airflow_azml.client.transport.errors import ConflictError, InputError, NotFoundError, ServiceError
from airflow_azml.client.values import seconds_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_azml.client.computes import Compute, Computes

PRIORITIES = ("Dedicated", "LowPriority")
_FIELDS = {"vmsize": "vm_size", "vmpriority": "vm_priority", "scalesettings": "min_nodes, max_nodes and idle time"}


@dataclass(frozen=True, slots=True)
class AmlComputeSpec:
    """What a cluster should be like.

    :param vm_size: for example `STANDARD_DS3_V2`.
    :param min_nodes: nodes that always stay.
    :param max_nodes: nodes at most.
    :param idle_seconds: how long an idle node stays.
    :param vm_priority: `Dedicated` or `LowPriority`.
    :param more: further properties of AmlCompute, as the API names them.
    """

    vm_size: str
    min_nodes: int = 0
    max_nodes: int = 1
    idle_seconds: int = 120
    vm_priority: str = "Dedicated"
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        *,
        vm_size: str,
        min_nodes: int | str,
        max_nodes: int | str,
        idle_time: float | str,
        vm_priority: str,
        more: Mapping[str, Any],
    ) -> Self:
        """Check values as a user writes or templates them; numbers may come as text."""
        if not vm_size:
            raise InputError("vm_size", vm_size, "is required, for example STANDARD_DS3_V2")
        low, high = whole_number("min_nodes", min_nodes), whole_number("max_nodes", max_nodes, at_least=1)
        if low > high:
            raise InputError("max_nodes", max_nodes, f"must not be less than min_nodes ({low})")
        priority = next((known for known in PRIORITIES if known.casefold() == str(vm_priority).casefold()), None)
        if priority is None:
            raise InputError("vm_priority", vm_priority, f"must be one of {', '.join(PRIORITIES)}")
        for key in more:
            if field_name := _FIELDS.get(str(key).casefold()):
                raise InputError(f"spec.{key}", more[key], f"is said by {field_name}, not here")
        return cls(vm_size, low, high, seconds_of("idle_time_before_scale_down", idle_time), priority, more)

    @property
    def scale_settings(self) -> dict[str, Any]:
        """The scale settings as the API has them."""
        return {
            "minNodeCount": self.min_nodes,
            "maxNodeCount": self.max_nodes,
            "nodeIdleTimeBeforeScaleDown": f"PT{self.idle_seconds}S",
        }

    def body(self) -> dict[str, Any]:
        """Return the resource as it is created."""
        properties = {
            "vmSize": self.vm_size,
            "vmPriority": self.vm_priority,
            **self.more,
            "scaleSettings": self.scale_settings,
        }
        return {"properties": {"computeType": "AmlCompute", "properties": properties}}

    def scales_like(self, compute: Compute) -> bool:
        """Tell whether the compute's scale settings are these."""
        there = compute.scale_settings
        return (
            int(there.get("minNodeCount") or 0) == self.min_nodes
            and int(there.get("maxNodeCount") or 0) == self.max_nodes
            and seconds_of("nodeIdleTimeBeforeScaleDown", there.get("nodeIdleTimeBeforeScaleDown") or 0)
            == self.idle_seconds
        )


def ensure(computes: Computes, name: str, wanted: AmlComputeSpec) -> Compute:
    """Create, update or keep the compute; return it as it is now, maybe still on its way."""
    check_compute_name(name)
    try:
        there = computes.get(name)
    except NotFoundError:
        return computes.create(name, wanted.body())
    _check_same_machine(name, there, wanted)
    if phase_of(Kind.COMPUTE, there.provisioning_state) is Phase.ACTIVE or wanted.scales_like(there):
        return there
    return computes.update_scale(name, wanted.scale_settings)


def _check_same_machine(name: str, there: Compute, wanted: AmlComputeSpec) -> None:
    state = there.provisioning_state
    if state.casefold() == "deleting":
        raise ServiceError("it is still being deleted; try again when it is gone", operation=f"create compute {name}")
    if phase_of(Kind.COMPUTE, state) in {Phase.FAILED, Phase.CANCELED}:
        reasons = "; ".join(there.errors) or "the service gives no reason"
        raise ConflictError(
            f"a compute of that name exists and is {state}: {reasons}",
            operation=f"create compute {name}",
            remedy="Delete it first.",
            permanent=True,
        )
    for what, is_there, is_wanted in (
        ("compute type", there.compute_type, "AmlCompute"),
        ("VM size", there.vm_size, wanted.vm_size),
        ("VM priority", there.vm_priority or wanted.vm_priority, wanted.vm_priority),
    ):
        if is_there.casefold() != is_wanted.casefold():
            raise ConflictError(
                f"a compute of that name exists with {what} {is_there}, not {is_wanted}, and that cannot be changed",
                operation=f"create compute {name}",
                remedy="Delete the compute first, or choose another name.",
                permanent=True,
            )
