"""Computes: the clusters that runs run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.operators.base import AzureMLWaitingOperator, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Goal, Target


class AzureMLCreateComputeOperator(AzureMLWaitingOperator):
    """Make sure that a compute cluster is there, as described.

    A compute of that name that is already as described is kept; other scale settings are updated; another VM size is
    refused, because only deleting the compute could change it. What is not given stays as it is.

    :param compute_name: 2 to 32 letters, digits or `-`.
    :param vm_size: for example `STANDARD_DS3_V2`, which a new compute gets by default.
    :param min_nodes: nodes that stay, and cost, even when idle; 0 for a new compute.
    :param max_nodes: nodes at most; 1 for a new compute.
    :param idle_time_before_scale_down: how long an idle node stays: seconds, or an ISO 8601 duration such as `PT5M`;
        120 seconds for a new compute.
    :param vm_priority: `Dedicated`, as new computes are, or `LowPriority`, which is cheaper and may be preempted.
    :param spec: further properties of an AmlCompute (`subnet`, `userAccountCredentials`, ...): a dict, or the path of a
        `.json` or `.yml` file beside the DAG.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        "compute_name",
        "vm_size",
        "min_nodes",
        "max_nodes",
        "idle_time_before_scale_down",
        "vm_priority",
        "spec",
    )

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

    def submit(self, client: AzureMLClient, context: Context) -> Target:
        """Create, update or keep the compute."""
        from airflow_azml.client.amlcompute import AmlComputeSpec, ensure  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - likewise

        wanted = AmlComputeSpec.read(
            vm_size=self.vm_size,
            min_nodes=self.min_nodes,
            max_nodes=self.max_nodes,
            idle_time=self.idle_time_before_scale_down,
            vm_priority=self.vm_priority,
            more=self.definition(self.spec, context),
        )
        compute = ensure(client.computes, self.compute_name, wanted)
        operation = compute.operation
        return Target(Kind.COMPUTE, self.compute_name, operation_url=operation.address if operation else "")

    def result(self, client: AzureMLClient, target: Target) -> Result:
        """Return the compute's name, state, VM size and nodes."""
        from airflow_azml.facts import facts  # noqa: PLC0415 - not at parse time

        return facts(client, target)


class AzureMLDeleteComputeOperator(AzureMLWaitingOperator):
    """Delete a compute; one that does not exist is fine.

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

    def submit(self, client: AzureMLClient, context: Context) -> Target:  # noqa: ARG002 - nothing to adopt
        """Delete it."""
        from airflow_azml.client.lifecycle import Goal, Kind, Target  # noqa: PLC0415 - not at parse time

        operation = client.computes.delete(self.compute_name, self.underlying_resource_action)
        url = operation.address if operation else ""
        return Target(Kind.COMPUTE, self.compute_name, goal=Goal.GONE, operation_url=url)


class _PowerOperator(AzureMLWaitingOperator):
    """Start or stop a compute instance.

    :param compute_name: the instance.
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "compute_name")

    def __init__(self, *, compute_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.compute_name = compute_name

    def accepted(self, target: Target) -> Result:
        """Return the instance's name."""
        return {"compute_name": target.name}

    def result(self, client: AzureMLClient, target: Target) -> Result:
        """Return the instance's name, state and VM size."""
        from airflow_azml.facts import facts  # noqa: PLC0415 - not at parse time

        return facts(client, target)


class AzureMLStartComputeOperator(_PowerOperator):
    """Start a compute instance and wait until it runs; one that runs already is fine.

    :param compute_name: the instance.
    """

    def submit(self, client: AzureMLClient, context: Context) -> Target:  # noqa: ARG002 - nothing to adopt
        """Start it, unless it runs or is starting."""
        from airflow_azml.client.lifecycle import Goal  # noqa: PLC0415 - not at parse time

        return _power(client, self.compute_name, Goal.SUCCEEDED)


class AzureMLStopComputeOperator(_PowerOperator):
    """Stop a compute instance and wait until it has stopped; its disk stays, its machine costs nothing any more.

    :param compute_name: the instance.
    """

    def submit(self, client: AzureMLClient, context: Context) -> Target:  # noqa: ARG002 - nothing to adopt
        """Stop it, unless it is stopped or stopping."""
        from airflow_azml.client.lifecycle import Goal  # noqa: PLC0415 - not at parse time

        return _power(client, self.compute_name, Goal.STOPPED)


def _power(client: AzureMLClient, name: str, goal: Goal) -> Target:
    from airflow_azml.client.lifecycle import Goal, Kind, Target  # noqa: PLC0415 - likewise
    from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - not at parse time

    compute = client.computes.get(name)
    if compute.compute_type.casefold() != "computeinstance":
        raise InputError("compute_name", name, f"is a {compute.compute_type}; only a ComputeInstance starts and stops")
    settled = {"running", "jobrunning", "starting"} if goal is Goal.SUCCEEDED else {"stopped", "stopping"}
    if compute.state.casefold() in settled:
        return Target(Kind.COMPUTE_INSTANCE, name, goal=goal)
    operation = client.computes.start(name) if goal is Goal.SUCCEEDED else client.computes.stop(name)
    return Target(Kind.COMPUTE_INSTANCE, name, goal=goal, operation_url=operation.address)
