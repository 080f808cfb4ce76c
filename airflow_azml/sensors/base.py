"""What every sensor declares, and how its run time begins (see `airflow_azml.entry`).

A sensor declares `target`, the run or resource that it waits for. It only watches: the run continues when the sensor is
killed or times out, unless `cancel_on_kill` is True.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from airflow_azml.entry import enters
from airflow_azml.links.azureml import STUDIO_LINKS
from airflow_azml.parameters import UI_COLOR, Seconds, Templates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from airflow.sdk import Context, PokeReturnValue

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLBaseSensor(Templates, BaseSensorOperator):
    """A sensor of this provider, in the modes `poke` and `reschedule`, or deferred, which needs no worker slot.

    A permanent error fails the task without retries: AirflowFailException, whose `__context__` is the original.

    :param azureml_conn_id: the Airflow connection to the workspace.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` when None.
    :param poll_interval: seconds between two looks; 60 in mode `reschedule`, which starts a process each time, else 5.
    :param poke_interval: the same under the name that Airflow's sensors use; give one of the two.
    :param end_from_trigger: when deferred, succeed in the triggerer, without another worker process (Airflow 3.3); not
        with outlets, which only a worker can report. A failure always needs a worker, to raise the error.
    """

    template_fields: Sequence[str] = ("azureml_conn_id",)
    operator_extra_links = STUDIO_LINKS
    ui_color = UI_COLOR
    stream_logs = False
    cancel_on_kill = False

    def __init__(
        self,
        *,
        azureml_conn_id: str = "azureml_default",
        deferrable: bool | None = None,
        poll_interval: Seconds | None = None,
        poke_interval: Seconds | None = None,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        given = poke_interval if poll_interval is None else poll_interval
        super().__init__(poke_interval=60.0 if given is None else given, **kwargs)
        if given is None and self.mode != "reschedule":  # only now the mode in default_args is known
            self.poke_interval = 5.0
        self.azureml_conn_id = azureml_conn_id
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self.work: Task | None = None
        self.killed = False

    def target(self, task: Task) -> Target:
        """Return what is waited for."""
        raise NotImplementedError

    def result_options(self) -> dict[str, Any]:
        """Return what the result of this kind takes, such as which metrics of a run are wanted."""
        return {}

    @enters
    def execute(self, process: ModuleType, context: Context) -> Any:
        """Wait in the triggerer, or in the way that the sensor's mode says."""
        return process.sense(self, context, lambda: super(AzureMLBaseSensor, self).execute(context))

    @enters
    def execute_complete(self, process: ModuleType, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the triggerer has waited."""
        return process.complete_sensor(self, context, event)

    @enters
    def poke(self, process: ModuleType, context: Context) -> PokeReturnValue:
        """Look once; a deferrable sensor then waits in the triggerer."""
        found: PokeReturnValue = process.poke(self, context)
        return found

    def on_kill(self) -> None:
        """Cancel the run, if that is wanted: Airflow is killing the task, or its time is over."""
        self.killed = True
        if self.work:
            self.work.kill.now()
