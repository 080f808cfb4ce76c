"""Computes: the clusters that runs run on, and compute instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_azml.operators.base import AzureMLWaitingOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLCreateComputeOperator(AzureMLWaitingOperator):
    """Make sure that a compute cluster is there, as described.

    A compute of that name that is already as described is kept; other scale settings are updated; another VM size is
    refused, because only deleting the compute could change it. What is not given stays as it is.

    API: `PUT` and `PATCH .../computes/{compute_name}`, https://learn.microsoft.com/rest/api/azureml/compute

    Returns `compute_name`, `provisioning_state`, `state`, `vm_size`, `current_nodes`, `scale_settings`, `studio_url`.
    Raises InputError for a value that is wrong, ConflictError for a difference that cannot be changed,
    OperationFailedError when the compute fails, TimeoutError after `timeout`.

    :param compute_name: 2 to 32 letters, digits or `-`.
    :param vm_size: for example `STANDARD_DS3_V2`. A new compute needs one; None keeps the size of one that exists.
    :param min_nodes: nodes that stay, and cost, even when idle; 0 for a new compute.
    :param max_nodes: nodes at most; 1 for a new compute.
    :param idle_time_before_scale_down: how long an idle node stays: seconds, or an ISO 8601 duration such as `PT5M`;
        120 seconds for a new compute.
    :param vm_priority: `Dedicated`, as new computes are, or `LowPriority`, which is cheaper and may be preempted.
    :param spec: further properties of an AmlCompute (`subnet`, `userAccountCredentials`, ...): a dict, or the path of a
        `.json` or `.yml` file beside the DAG. Give each value here or as a parameter, not both.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        *("compute_name", "vm_size", "min_nodes", "max_nodes", "idle_time_before_scale_down", "vm_priority", "spec"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"spec": "json"}

    def __init__(
        self,
        *,
        compute_name: str,
        vm_size: str | None = None,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_time_before_scale_down: float | str | None = None,
        vm_priority: Literal["Dedicated", "LowPriority"] | None = None,
        spec: dict[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.compute_name = compute_name
        self.vm_size = vm_size
        self.min_nodes = min_nodes
        self.max_nodes = max_nodes
        self.idle_time_before_scale_down = idle_time_before_scale_down
        self.vm_priority = vm_priority
        self.spec = spec

    def submit(self, task: Task) -> Target:
        """Create, update or keep the compute."""
        return task.client.computes.ensure(
            self.compute_name,
            vm_size=self.vm_size,
            min_nodes=self.min_nodes,
            max_nodes=self.max_nodes,
            idle_time_before_scale_down=self.idle_time_before_scale_down,
            vm_priority=self.vm_priority,
            spec=task.definition(self.spec),
        )


class AzureMLDeleteComputeOperator(AzureMLWaitingOperator):
    """Delete a compute; one that does not exist is fine.

    API: `DELETE .../computes/{compute_name}`, https://learn.microsoft.com/rest/api/azureml/compute

    Returns `compute_name` and `studio_url`. Raises InputError for a value that is wrong, ConflictError when the service
    refuses to delete it now, OperationFailedError when the deletion fails, TimeoutError after `timeout`.

    :param compute_name: the compute.
    :param underlying_resource_action: `Delete` its machines too, or only `Detach` them from the workspace.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        "compute_name",
        "underlying_resource_action",
    )

    def __init__(
        self, *, compute_name: str, underlying_resource_action: Literal["Delete", "Detach"] = "Delete", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.compute_name = compute_name
        self.underlying_resource_action = underlying_resource_action

    def submit(self, task: Task) -> Target:
        """Delete it."""
        return task.client.computes.delete(self.compute_name, self.underlying_resource_action)


class _PowerOperator(AzureMLWaitingOperator):
    """Start or stop a compute instance.

    :param compute_name: the instance.
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "compute_name")

    def __init__(self, *, compute_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.compute_name = compute_name


class AzureMLStartComputeOperator(_PowerOperator):
    """Start a compute instance and wait until it runs; one that runs already is fine.

    API: `POST .../computes/{compute_name}/start`, https://learn.microsoft.com/rest/api/azureml/compute

    Returns what `AzureMLCreateComputeOperator` returns. Raises InputError for a compute that is no instance,
    NotFoundError when there is none, OperationFailedError when the start fails, TimeoutError after `timeout`.

    :param compute_name: the instance.
    """

    def submit(self, task: Task) -> Target:
        """Start it, unless it runs or is starting."""
        return task.client.compute_instances.start(self.compute_name)


class AzureMLStopComputeOperator(_PowerOperator):
    """Stop a compute instance and wait until it has stopped; its disk stays, its machine costs nothing any more.

    API: `POST .../computes/{compute_name}/stop`, https://learn.microsoft.com/rest/api/azureml/compute

    Returns what `AzureMLCreateComputeOperator` returns. Raises InputError for a compute that is no instance,
    NotFoundError when there is none, OperationFailedError when the stop fails, TimeoutError after `timeout`.

    :param compute_name: the instance.
    """

    def submit(self, task: Task) -> Target:
        """Stop it, unless it is stopped or stopping."""
        return task.client.compute_instances.stop(self.compute_name)
