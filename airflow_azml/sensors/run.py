"""Waiting for a run of the run history: a classic run or a v2 job, started by anyone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.parameters import flag
from airflow_azml.sensors.base import AzureMLBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLWaitForRunSensor(AzureMLBaseSensor):
    """Wait until a run has completed; fail, without retries, when it has failed or was canceled.

    API: `GET history/v1.0/.../runs/{run_id}`, or `POST history/v1.0/.../batchrundata` for many runs,
    https://learn.microsoft.com/rest/api/azureml/

    Returns `run_id`, `experiment_name`, `status`, `started`, `ended`, `duration` in seconds and `metrics`. Raises
    InputError for a value that is wrong, OperationFailedError when the run has failed, was canceled or does not exist,
    AirflowSensorTimeout after `timeout` seconds.

    :param run_id: the run, or v2 job.
    :param experiment_name: its experiment, if known: some older workspaces need it.
    :param cancel_on_kill: cancel the run when this task is killed or times out. By default the run continues.
    :param stream_logs: show what the run prints in the task's log while it runs; at its end in mode `reschedule`.
    :param metrics: which of the run's metrics the result holds: all, none (False), or those of these names. Lists
        of values are cut to their last values, 10,000 of all lists together.
    """

    template_fields: Sequence[str] = (*AzureMLBaseSensor.template_fields, "run_id", "experiment_name")

    def __init__(
        self,
        *,
        run_id: str,
        experiment_name: str | None = None,
        cancel_on_kill: bool = False,
        stream_logs: bool = True,
        metrics: bool | list[str] = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.experiment_name = experiment_name
        self.cancel_on_kill = flag("cancel_on_kill", cancel_on_kill)
        self.stream_logs = stream_logs
        self.metrics = metrics

    def result_options(self) -> dict[str, Any]:
        """Return which metrics are wanted."""
        return {"metrics": self.metrics}

    def target(self, task: Task) -> Target:
        """Return the run."""
        return task.target("runs", self.run_id, self.experiment_name or "")
