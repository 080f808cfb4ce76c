"""What every sensor does, written once: look, wait in the sensor's mode or deferred, judge how it ended.

A sensor declares `target`, what it waits for. It only watches: what it waits for goes on when the sensor is killed or
times out, unless it says otherwise.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_azml.ownership import Claim
from airflow_azml.task import STUDIO_LINKS, UI_COLOR, AzureMLTask, default_deferrable, least, read_event, task_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_azml.client.lifecycle import Decision, Target, Watch
    from airflow_azml.client.logs import LogFollower


class AzureMLBaseSensor(AzureMLTask, BaseSensorOperator):
    """A sensor of this provider, in the modes `poke` and `reschedule`, and deferred, where it costs no worker slot.

    :param azureml_conn_id: the Airflow connection to the workspace.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` when None.
    :param poke_interval: seconds between two looks; 60 in mode `reschedule`, where each one costs a process, else 5.
    :param end_from_trigger: when deferred, succeed in the triggerer, without another worker process (Airflow 3.3); not
        with outlets, which only a worker can report. A failure always takes a worker, to tell the reason.
    """

    template_fields: Sequence[str] = ("azureml_conn_id",)
    operator_extra_links = STUDIO_LINKS
    ui_color = UI_COLOR
    stream_logs = False

    def __init__(
        self,
        *,
        azureml_conn_id: str = "azureml_default",
        deferrable: bool | None = None,
        poke_interval: float | None = None,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=60.0 if poke_interval is None else poke_interval, **kwargs)
        if poke_interval is None and self.mode != "reschedule":  # only now the mode in default_args is known
            self.poke_interval = 5.0
        self.azureml_conn_id = azureml_conn_id
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self._follower: LogFollower | None = None
        self._watch: Watch | None = None
        self._killed = self._defers = False
        self._started = 0.0

    def target(self) -> Target:
        """Return what is waited for."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Wait in the triggerer, or in the way that the sensor's mode says."""
        from airflow.providers.common.compat.sdk import (  # noqa: PLC0415 - not at parse time
            AirflowSensorTimeout,
            AirflowSkipException,
        )

        with self.at_work():
            self.check_names()
            if self.cancel_on_kill:
                self._claim = Claim(context["ti"])
            self.publish(context, self.target())
            self._started = time.time()
            self._defers = default_deferrable() if self.deferrable is None else self.deferrable
            try:
                return super().execute(context)
            except (AirflowSensorTimeout, AirflowSkipException) as error:
                if error.__cause__ is None:  # its time is over; with soft_fail and a failure there is a cause
                    self.on_kill()
                raise

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the triggerer has waited."""
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout  # noqa: PLC0415 - not at parse time

        from airflow_azml.client.logs import LogFollower  # noqa: PLC0415 - likewise
        from airflow_azml.client.targets import cancel, overdue  # noqa: PLC0415 - likewise

        with self.at_work():
            target, decision = read_event(event)
            self.publish(context, target)
            position = event.get("log")
            self._follower = position and LogFollower(target, position)
            if decision.verdict == "timed_out" and self.cancel_on_kill:
                decision = decision.after_cancel(cancel(self.client, target), target.goal)
            if decision.verdict == "timed_out":
                raise AirflowSensorTimeout(overdue(self.client, target, decision.limit, decision.observation))
            return self._judge(target, decision).xcom_value

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; `never_fail` holds for our own errors, as it does in the other modes."""
        from airflow.providers.common.compat.sdk import AirflowSkipException  # noqa: PLC0415 - not at parse time

        from airflow_azml.client.transport.errors import AzureMLError  # noqa: PLC0415 - likewise

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AzureMLError as error:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def on_kill(self) -> None:
        """Cancel the run, if that is wanted: Airflow is killing the task, or its time is over."""
        self._killed = True
        if self.cancel_on_kill:
            self.end(self.target())

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once; a deferrable sensor then waits in the triggerer."""
        found = self._look()
        if self._defers and not found.is_done:
            self._defer()
        return found

    def _look(self) -> PokeReturnValue:
        from airflow.providers.common.compat.sdk import AirflowException  # noqa: PLC0415 - not at parse time

        from airflow_azml.client.lifecycle import Policy, Watch  # noqa: PLC0415 - likewise
        from airflow_azml.client.logs import LogFollower  # noqa: PLC0415 - likewise
        from airflow_azml.client.targets import look  # noqa: PLC0415 - likewise

        with task_errors():
            target = self.target()
            if self._killed:
                raise AirflowException(f"{target}: the task that waits for it was killed")
            if self.stream_logs and self._follower is None:
                self._follower = LogFollower(target)
            if self._watch is None:  # it counts how long there was no usable answer
                self._watch = Watch(target, Policy(self.poke_interval))
            decision = self._watch.step(partial(look, self.client))
            self.log.info("%s is %s", target, decision.observation.status or "not known: no usable answer")
            return self._judge(target, decision)

    def _defer(self) -> None:
        from airflow_azml.client.lifecycle import Policy  # noqa: PLC0415 - not at parse time

        trigger = self.trigger(
            self.target(),
            Policy(self.poke_interval, least(self.timeout, self.execution_limit)),
            self._started,
            cancel_on_kill=self.cancel_on_kill,
            log=self._follower and self._follower.position,
            end_task=self.end_from_trigger and self.do_xcom_push and not self.outlets,
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _judge(self, target: Target, decision: Decision) -> PokeReturnValue:
        from airflow_azml.client.targets import explain  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.errors import ServiceError  # noqa: PLC0415 - not at parse time
        from airflow_azml.facts import facts  # noqa: PLC0415 - likewise

        self._show_log(decision)
        if decision.verdict == "failed":
            error = explain(self.client, target, decision.observation)
            error.permanent = True  # looking again will not make it succeed
            raise error
        if decision.verdict == "unreachable":
            raise ServiceError(f"gave up waiting: {decision.observation.detail}", operation=f"watch {target}")
        done = decision.verdict == "done"
        return PokeReturnValue(is_done=done, xcom_value=facts(self.client, target) if done else None)

    def _show_log(self, decision: Decision) -> None:
        phase = decision.observation.phase
        if self._follower is None or phase == "pending":
            return
        if phase.terminal:
            self._follower.tell(self._follower.rest(self.client))
        elif self.mode != "reschedule":  # each look there is a process that does not know what others have shown
            self._follower.tell(self._follower.read(self.client))
