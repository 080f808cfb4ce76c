"""Waiting for a compute that somebody else creates, starts or stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.sensors.base import AzureMLBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLWaitForComputeSensor(AzureMLBaseSensor):
    """Wait until a compute is there and provisioned, or until a compute instance runs or is stopped.

    A compute that does not exist yet is waited for; one whose provisioning has failed fails the sensor.

    API: `GET .../computes/{compute_name}`, https://learn.microsoft.com/rest/api/azureml/compute

    Returns `compute_name`, `provisioning_state`, `state`, `vm_size`, `current_nodes` and `scale_settings`. Raises
    InputError for a value that is wrong, OperationFailedError when the compute has failed, AirflowSensorTimeout after
    `timeout` seconds.

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

    def target(self, task: Task) -> Target:
        """Return the compute."""
        wanted = {
            "provisioned": ("computes", "present"),
            "running": ("compute_instances", "present"),
            "stopped": ("compute_instances", "stopped"),
        }
        if self.state not in wanted:
            raise task.input_error("state", self.state, f"must be one of {', '.join(wanted)}")
        kind, goal = wanted[self.state]
        return task.target(kind, self.compute_name, goal=goal)
