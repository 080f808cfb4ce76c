"""An AmlCompute cluster as it is wanted, and how to get there from what is there.

PUT overwrites a compute for good, so what exists is looked at first: scale settings that differ are updated, and
whatever else differs is refused, since only deleting the compute could change it. What the caller does not name stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from airflow_azml.client.lifecycle import Kind, Phase, phase_of
from airflow_azml.client.merging import differences, merged, refuse
from airflow_azml.client.transport.errors import ConflictError, InputError, ServiceError
from airflow_azml.client.values import seconds_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_azml.client.computes import Compute, Computes

PRIORITIES = ("Dedicated", "LowPriority")
USUAL_VM_SIZE = "STANDARD_DS3_V2"
USUAL_SCALE = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT120S"}
_FIELDS = {"vmsize": "vm_size", "vmpriority": "vm_priority", "scalesettings": "min_nodes, max_nodes and idle time"}


@dataclass(frozen=True, slots=True)
class AmlComputeSpec:
    """What a cluster should be like; None where it may be as it is, and a new one gets the usual.

    :param vm_size: for example `STANDARD_DS3_V2`.
    :param min_nodes: nodes that always stay.
    :param max_nodes: nodes at most.
    :param idle_seconds: how long an idle node stays.
    :param vm_priority: `Dedicated` or `LowPriority`.
    :param more: further properties of AmlCompute, as the API names them.
    """

    vm_size: str | None
    min_nodes: int | None = None
    max_nodes: int | None = None
    idle_seconds: int | None = None
    vm_priority: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        *,
        vm_size: str | None,
        min_nodes: int | str | None,
        max_nodes: int | str | None,
        idle_time: float | str | None,
        vm_priority: str | None,
        more: Mapping[str, Any],
    ) -> Self:
        """Check values as a user writes or templates them; numbers may come as text."""
        if vm_size is not None and not vm_size.strip():
            raise InputError("vm_size", vm_size, "is required, for example STANDARD_DS3_V2")
        low = None if min_nodes is None else whole_number("min_nodes", min_nodes)
        high = None if max_nodes is None else whole_number("max_nodes", max_nodes, at_least=1)
        idle = None if idle_time is None else seconds_of("idle_time_before_scale_down", idle_time)
        priority = next((known for known in PRIORITIES if known.casefold() == str(vm_priority).casefold()), None)
        if priority is None and vm_priority is not None:
            raise InputError("vm_priority", vm_priority, f"must be one of {', '.join(PRIORITIES)}")
        for key in more:
            if field_name := _FIELDS.get(str(key).casefold()):
                raise InputError(f"spec.{key}", more[key], f"is said by {field_name}, not here")
        spec = cls(vm_size, low, high, idle, priority, more)
        if low is not None and high is not None:
            spec.scale_over({})
        return spec

    def scale_over(self, there: Mapping[str, Any]) -> dict[str, Any]:
        """Return scale settings as the API has them: those of a cluster with what is named here."""
        idle = None if self.idle_seconds is None else f"PT{self.idle_seconds}S"
        named = {
            "minNodeCount": self.min_nodes,
            "maxNodeCount": self.max_nodes,
            "nodeIdleTimeBeforeScaleDown": idle,
        }
        scale = merged(there, {name: value for name, value in named.items() if value is not None})
        low, high = int(scale.get("minNodeCount") or 0), int(scale.get("maxNodeCount") or 0)
        if low > high:
            raise InputError("max_nodes", high, f"must not be less than min_nodes ({low})")
        return scale

    def body(self) -> dict[str, Any]:
        """Return the resource as it is created."""
        properties = {
            "vmSize": self.vm_size or USUAL_VM_SIZE,
            "vmPriority": self.vm_priority or PRIORITIES[0],
            **self.more,
            "scaleSettings": self.scale_over(USUAL_SCALE),
        }
        return {"properties": {"computeType": "AmlCompute", "properties": properties}}


def ensure(computes: Computes, name: str, wanted: AmlComputeSpec) -> Compute:
    """Create, update or keep the compute; return it as it is now, maybe still on its way."""
    there = computes.find(name)
    if there is None:
        return computes.create(name, wanted.body())
    _check_same_machine(name, there, wanted)
    scale = wanted.scale_over(there.scale_settings)
    differing = differences(there.scale_settings, scale, path="scaleSettings.")
    if not differing:
        return there
    if phase_of(Kind.COMPUTE, there.provisioning_state) is Phase.ACTIVE:  # the service would refuse another change now
        said = "; ".join(f"{path} {words}" for path, words in differing.items())
        raise ConflictError(
            f"it is {there.provisioning_state}: {said}",
            operation=f"update compute {name}",
            remedy="Try again when it has settled.",
        )
    return computes.update_scale(name, scale)


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
        ("VM size", there.vm_size, wanted.vm_size or there.vm_size),
        ("VM priority", there.vm_priority, (there.vm_priority and wanted.vm_priority) or there.vm_priority),
    ):
        if is_there.casefold() != is_wanted.casefold():
            raise ConflictError(
                f"a compute of that name exists with {what} {is_there}, not {is_wanted}, and that cannot be changed",
                operation=f"create compute {name}",
                remedy="Delete the compute first, or choose another name.",
                permanent=True,
            )
    refuse(f"compute {name}", differences(there.inner, _comparable(there.inner, wanted.more)))


def _comparable(there: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that the service shows, so that they can be compared; it shows no password or key."""
    shown = {name: value for name, value in more.items() if name in there}
    if credentials := shown.pop("userAccountCredentials", None):
        known = there.get("userAccountCredentials") or {}
        shown["userAccountCredentials"] = {key: credentials[key] for key in ("adminUserName",) if known.get(key)}
    return shown
