"""The AmlCompute cluster that a user describes, checked and converted to a request body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from airflow_azml.client.merging import merged
from airflow_azml.client.specs import az_ml
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import mapping, seconds_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIORITIES = ("Dedicated", "LowPriority")
USUAL_SCALE = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT120S"}
_FIELDS = {"vmsize": "vm_size", "vmpriority": "vm_priority", "scalesettings": "min_nodes, max_nodes and idle time"}


@dataclass(frozen=True, slots=True)
class AmlComputeSpec:
    """What a cluster should be like. None means: as it is; a new one gets the usual.

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
        vm_size: str | None = None,
        min_nodes: int | str | None = None,
        max_nodes: int | str | None = None,
        idle_time_before_scale_down: float | str | None = None,
        vm_priority: str | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> Self:
        """Check values as a user writes or templates them; numbers may come as text.

        :param vm_size: a new cluster needs it.
        :param min_nodes: nodes that always stay; 0 for a new cluster.
        :param max_nodes: nodes at most; 1 for a new cluster.
        :param idle_time_before_scale_down: how long an idle node stays: seconds, or an ISO 8601 duration such as
            ``PT5M``; 120 seconds for a new cluster.
        :param vm_priority: ``Dedicated``, as new clusters are, or ``LowPriority``.
        :param spec: further properties of AmlCompute, as the API names them.
        """
        more, idle_time = mapping("spec", spec or {}), idle_time_before_scale_down
        az_ml.refuse(more, "spec", "further properties of an AmlCompute, as the REST API names them")
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
        wanted = cls(vm_size, low, high, idle, priority, more)
        if low is not None and high is not None:
            wanted.scale_over({})
        return wanted

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

    def body(self, name: str) -> dict[str, Any]:
        """Return the resource as it is created. A VM size has no default: it costs money."""
        if not self.vm_size:
            raise InputError("vm_size", rule=f"is required: compute {name} does not exist yet, and machines cost money")
        properties = {
            "vmSize": self.vm_size,
            "vmPriority": self.vm_priority or PRIORITIES[0],
            **self.more,
            "scaleSettings": self.scale_over(USUAL_SCALE),
        }
        return {"properties": {"computeType": "AmlCompute", "properties": properties}}
