"""A sensor: look in the way that its mode says, or wait in the triggerer, and report how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowSensorTimeout, AirflowSkipException
from airflow.sdk import PokeReturnValue

from airflow_azml.client.lifecycle import Policy, Verdict, Watch
from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.runtime import report
from airflow_azml.runtime.wait import least, look, trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.lifecycle import Decision, Observation, Target
    from airflow_azml.client.resources.run_log import LogFollower
    from airflow_azml.runtime.task import Task


class Sensing:
    """One process of a sensor.

    :param task: of the sensor, at work.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._sensor = task.operator
        self._target: Target | None = None
        self._follower: LogFollower | None = None
        self._defers = self._answered = False
        self._started = 0.0
        self.watch: Watch | None = None

    def execute(self, poking: Callable[[], Any]) -> Any:
        """Wait.

        :param poking: Airflow's own loop of looks, which calls `poke`.
        """
        task = self._task
        with task.kill.at_work():
            task.check_names()
            if task.kill.cancels:
                task.kill.claim()
            task.publish(self._find_target())
            if task.kill.happened:  # before its target was known
                task.kill.now()
            self._started = time.time()
            self._defers = task.deferrable
            self._answered = self._has_looked_before()
            try:
                return poking()
            except (AirflowSensorTimeout, AirflowSkipException) as error:
                if error.__cause__ is None:  # its time is over; with soft_fail and a failure there is a cause
                    task.kill.now()
                raise

    def complete(self, event: dict[str, Any]) -> Any:
        """Go on after the triggerer has waited; `never_fail` holds for our own errors, as in the other modes."""
        try:
            with self._task.kill.at_work():
                return self._ended(event)
        except AzureMLError as error:
            if self._sensor.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def poke(self) -> PokeReturnValue:
        """Look once; a deferrable sensor then waits in the triggerer."""
        found = self._look()
        if self._defers and not found.is_done:
            self._defer()
        return found

    def _find_target(self) -> Target:
        if self._target is None:
            self._target = self._task.kill.target = self._sensor.target(self._task)
        return self._target

    def _has_looked_before(self) -> bool:
        """Tell whether an earlier process of this try, in mode `reschedule`, has looked already."""
        return bool(self._sensor.reschedule and self._task.context["ti"].get_first_reschedule_date(self._task.context))

    def _look(self) -> PokeReturnValue:
        target = self._find_target()
        if self._task.kill.happened:
            raise AirflowException(f"{target}: the task that waits for it was killed")
        if self._sensor.stream_logs and self._follower is None:
            self._follower = self._task.client.logs.follow(target)
        if self.watch is None:  # it counts how long there was no usable answer
            self.watch = Watch(target, Policy(self._sensor.poke_interval))
        decision = self.watch.step(self._observe)
        self._task.log.info("%s is %s", target, decision.observation.status or "not known: no usable answer")
        return self._judge(target, decision)

    def _observe(self, target: Target) -> Observation:
        """Look. A refusal of the first look fails the task at once: nothing has worked yet."""
        seen = look(self._task, target) if self._answered else self._task.look(target)
        self._answered = True
        return seen

    def _defer(self) -> None:
        task, sensor = self._task, self._sensor
        policy = Policy(sensor.poke_interval, least(sensor.timeout, task.execution_limit))
        how = trigger(
            task,
            self._find_target(),
            policy,
            self._started,
            log=self._follower and self._follower.position,
            end_task=sensor.end_from_trigger and sensor.do_xcom_push and not sensor.outlets,
            result_options=sensor.result_options(),
        )
        sensor.defer(trigger=how, method_name="execute_complete")

    def _ended(self, event: dict[str, Any]) -> Any:
        task = self._task
        target, decision = report.read_event(event)
        position = event.get("log")
        self._follower = position and task.client.logs.follow(target, position)
        if decision.verdict is Verdict.TIMED_OUT and task.kill.cancels:
            decision = decision.after_cancel(task.cancel(target, why="its time is over"), target.goal)
        if decision.verdict is Verdict.TIMED_OUT:
            streamed = self._follower is not None
            raise AirflowSensorTimeout(
                task.client.overdue(target, decision.limit, decision.observation, streamed=streamed)
            )
        return self._judge(target, decision).xcom_value

    def _judge(self, target: Target, decision: Decision) -> PokeReturnValue:
        self._show_log(decision)
        if decision.verdict in {Verdict.FAILED, Verdict.UNREACHABLE}:
            error = report.failure(self._task, target, decision, streamed=self._follower is not None)
            if isinstance(error, AzureMLError):
                error.permanent = decision.verdict is Verdict.FAILED  # looking again will not make it succeed
            raise error
        if decision.verdict is Verdict.DONE:
            return PokeReturnValue(is_done=True, xcom_value=report.facts_of(self._task, target, decision.observation))
        return PokeReturnValue(is_done=False)

    def _show_log(self, decision: Decision) -> None:
        follower, phase = self._follower, decision.observation.phase
        if follower is None or phase == "pending":
            return
        if phase.terminal:
            report.show_rest(self._task, lambda: follower)
        elif self._sensor.mode != "reschedule":  # there a look does not know what others have shown
            follower.tell(follower.read())
