"""Waiting for a run of the run history: a classic run or a v2 job, whoever has started it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.sensors.base import AzureMLBaseSensor
from airflow_azml.task import run_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Target


class AzureMLWaitForRunSensor(AzureMLBaseSensor):
    """Wait until a run has completed; fail, without retries, when it has failed or was canceled.

    :param run_id: the run, or v2 job.
    :param experiment_name: its experiment, if known: some older workspaces need it.
    """

    template_fields: Sequence[str] = (*AzureMLBaseSensor.template_fields, "run_id", "experiment_name")

    def __init__(self, *, run_id: str, experiment_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.experiment_name = experiment_name

    def target(self) -> Target:
        """Return the run."""
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - not at parse time

        return Target(Kind.RUN, self.run_id, parent=self.experiment_name or "")

    def result(self, client: AzureMLClient, target: Target) -> dict[str, Any]:
        """Return the run's id, status, times, metrics and outputs."""
        return run_facts(client, target)
