"""Waiting for a compute that somebody else creates, starts or stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.sensors.base import AzureMLBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target


class AzureMLWaitForComputeSensor(AzureMLBaseSensor):
    """Wait until a compute is there and provisioned, or until a compute instance runs or is stopped.

    A compute that does not exist yet is waited for; one whose provisioning has failed fails the sensor.

    :param compute_name: the compute.
    :param state: `provisioned`; of a compute instance also `running` or `stopped`.
    """

    template_fields: Sequence[str] = (*AzureMLBaseSensor.template_fields, "compute_name", "state")

    def __init__(
        self, *, compute_name: str, state: Literal["provisioned", "running", "stopped"] = "provisioned", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.compute_name = compute_name
        self.state = state

    def target(self) -> Target:
        """Return the compute."""
        from airflow_azml.client.lifecycle import Goal, Kind, Target  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - not at parse time

        wanted = {
            "provisioned": (Kind.COMPUTE, Goal.PRESENT),
            "running": (Kind.COMPUTE_INSTANCE, Goal.PRESENT),
            "stopped": (Kind.COMPUTE_INSTANCE, Goal.STOPPED),
        }
        if self.state not in wanted:
            raise InputError("state", self.state, f"must be one of {', '.join(wanted)}")
        kind, goal = wanted[self.state]
        return Target(kind, self.compute_name, goal=goal)
