"""What every operator declares, and how its run time begins (see `airflow_azml.entry`).

An operator that only acts declares `act`; one that starts something declares `submit`. Both get a `runtime.Task`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_azml.entry import enters
from airflow_azml.links.azureml import STUDIO_LINKS
from airflow_azml.parameters import UI_COLOR, Seconds, Templates, flag, limit, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from airflow.sdk import Context

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task

Result = dict[str, Any]


class AzureMLBaseOperator(Templates, BaseOperator):
    """An operator that does one thing and is done.

    A permanent error fails the task without retries: AirflowFailException, whose `__context__` is the original.

    :param azureml_conn_id: the Airflow connection to the workspace.
    """

    template_fields: Sequence[str] = ("azureml_conn_id",)
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    operator_extra_links = STUDIO_LINKS
    ui_color = UI_COLOR

    def __init__(self, *, azureml_conn_id: str = "azureml_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.azureml_conn_id = azureml_conn_id
        self.work: Task | None = None
        self.killed = False

    def act(self, task: Task) -> Result:
        """Do what the operator is for and return its result."""
        raise NotImplementedError

    @enters
    def execute(self, process: ModuleType, context: Context) -> Result:
        """Do it; the result goes to XCom as plain JSON."""
        result: Result = process.act(self, context)
        return result

    def on_kill(self) -> None:
        """Airflow is killing the task: cancel its run, also one that is just being started."""
        self.killed = True
        if self.work:
            self.work.kill.now()


class AzureMLWaitingOperator(AzureMLBaseOperator):
    """An operator that starts a run or an operation, and waits for its end.

    :param wait_for_completion: wait for the end; otherwise succeed as soon as the service has accepted the request.
    :param deferrable: wait in the triggerer, without a worker slot; `[operators] default_deferrable` when None.
    :param poll_interval: seconds between two looks.
    :param timeout: seconds after which the wait ends and the task fails; None waits as long as the service works.
    :param cancel_on_kill: cancel the run when its task is killed or times out. If False, the run continues and the next
        try adopts it. Only runs can be cancelled.
    """

    stream_logs = False
    queue_timeout: float | None = None
    run_timeout: float | None = None

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: Seconds = 5.0,
        timeout: Seconds | None = None,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.timeout = limit("timeout", timeout)
        self.cancel_on_kill = flag("cancel_on_kill", cancel_on_kill)

    def result_options(self) -> dict[str, Any]:
        """Return what the result of this kind takes, such as which metrics of a run are wanted."""
        return {}

    def submit(self, task: Task) -> Target:
        """Start the run or operation, or adopt that of an earlier try of this task; return what to wait for."""
        raise NotImplementedError

    @enters
    def execute(self, process: ModuleType, context: Context) -> Result:
        """Submit, then wait or defer, or end if `wait_for_completion` is False."""
        result: Result = process.execute(self, context)
        return result

    @enters
    def execute_complete(self, process: ModuleType, context: Context, event: dict[str, Any]) -> Result:
        """Go on after the triggerer has waited."""
        result: Result = process.complete(self, context, event)
        return result
