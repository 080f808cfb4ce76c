"""What every sensor does, written once: look, wait in the sensor's mode or deferred, judge how it ended.

A sensor declares `target`, what it waits for, and `result`, what XCom tells of it then. It only watches: what it waits
for goes on when the sensor is killed or times out.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_azml.task import STUDIO_LINKS, UI_COLOR, AzureMLTask, default_deferrable, read_event, task_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Decision, Target


class AzureMLBaseSensor(AzureMLTask, BaseSensorOperator):
    """A sensor of this provider, in the modes `poke` and `reschedule`, and deferred, where it costs no worker slot.

    :param azureml_conn_id: the Airflow connection to the workspace.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` when None.
    :param poke_interval: seconds between two looks; 60 in mode `reschedule`, where each one costs a process, else 5.
    """

    template_fields: Sequence[str] = ("azureml_conn_id",)
    operator_extra_links = STUDIO_LINKS
    ui_color = UI_COLOR

    def __init__(
        self,
        *,
        azureml_conn_id: str = "azureml_default",
        deferrable: bool | None = None,
        poke_interval: float | None = None,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = 60.0 if kwargs.get("mode") == "reschedule" else 5.0
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.azureml_conn_id = azureml_conn_id
        self.deferrable = deferrable

    def target(self) -> Target:
        """Return what is waited for."""
        raise NotImplementedError

    def result(self, client: AzureMLClient, target: Target) -> dict[str, Any]:
        """Return what XCom tells of it, once it is there."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Wait in the triggerer, or in the way that the sensor's mode says."""
        with task_errors():
            self.publish(context, self.target())
        if not (default_deferrable() if self.deferrable is None else self.deferrable):
            return super().execute(context)
        started = time.time()
        first = self.poke(context)
        if first.is_done:
            return first.xcom_value
        trigger = self.trigger(self.target(), self.poke_interval, self.timeout, started, cancel_on_kill=False)
        return self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the triggerer has waited."""
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout  # noqa: PLC0415 - not at parse time

        with task_errors():
            target, decision = read_event(event)
            self.publish(context, target)
            if decision.verdict == "timed_out":
                raise AirflowSensorTimeout(
                    f"{target} is still {decision.observation.status} after {self.timeout:.0f} s"
                )
            return self._judge(target, decision).xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once."""
        from airflow_azml.client.lifecycle import Policy, Watch  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.targets import look  # noqa: PLC0415 - likewise

        with task_errors():
            target = self.target()
            decision = Watch(target, Policy(self.poke_interval)).step(partial(look, self.client))
            self.log.info("%s is %s", target, decision.observation.status or "not known: no usable answer")
            return self._judge(target, decision)

    def _judge(self, target: Target, decision: Decision) -> PokeReturnValue:
        from airflow_azml.client.errors import ServiceError  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.targets import explain  # noqa: PLC0415 - likewise

        if decision.verdict == "failed":
            error = explain(self.client, target, decision.observation)
            error.permanent = True  # looking again will not make it succeed
            raise error
        if decision.verdict == "unreachable":
            raise ServiceError(f"gave up waiting: {decision.observation.detail}", operation=f"watch {target}")
        done = decision.verdict == "done"
        return PokeReturnValue(is_done=done, xcom_value=self.result(self.client, target) if done else None)
