"""What every operator does, written once: submit, publish the link, wait or defer, cancel, report.

An operator that only acts declares `act`; one that starts something declares `submit` and, if it has one, `result`.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from airflow_azml.ownership import Claim
from airflow_azml.task import (
    STUDIO_LINKS,
    UI_COLOR,
    AzureMLTask,
    cancels,
    default_deferrable,
    least,
    read_event,
    seconds,
    task_errors,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Decision, Policy, Target, Watch
    from airflow_azml.client.logs import LogFollower

Result = dict[str, Any]
# Seconds in which a run may still appear whose submission was broken off after the whole request had been sent.
MAY_APPEAR = 10.0


class AzureMLBaseOperator(AzureMLTask, BaseOperator):
    """An operator that does one thing and is done.

    :param azureml_conn_id: the Airflow connection to the workspace.
    """

    template_fields: Sequence[str] = ("azureml_conn_id",)
    operator_extra_links = STUDIO_LINKS
    ui_color = UI_COLOR

    def __init__(self, *, azureml_conn_id: str = "azureml_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.azureml_conn_id = azureml_conn_id

    def execute(self, context: Context) -> Result:
        """Do it; the result goes to XCom as plain JSON."""
        from airflow_azml.client.transport.plain_json import storable  # noqa: PLC0415 - not at parse time

        with task_errors():
            self.check_names()
            result: Result = storable(self.act(self.client, context))
            return result

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Do what the operator is for."""
        raise NotImplementedError


class AzureMLWaitingOperator(AzureMLBaseOperator):
    """An operator that starts something which takes time.

    :param wait_for_completion: wait until it has come to its end; otherwise succeed as soon as it is accepted.
    :param deferrable: wait in the triggerer, without a worker slot; `[operators] default_deferrable` when None.
    :param poll_interval: seconds between two looks.
    :param timeout: seconds after which the wait ends and the task fails; None waits as long as the service works.
    :param on_kill: what becomes of a run when its task is killed, or times out: `cancel` it or `detach` from it.
    """

    stream_logs = False

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float | timedelta = 5.0,
        timeout: float | timedelta | None = None,
        on_kill: Literal["cancel", "detach"] = "cancel",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.timeout = None if timeout is None else seconds("timeout", timeout)
        self.cancel_on_kill = cancels(on_kill)
        self.target: Target | None = None
        self._submitting = self._killed = False

    def submit(self, client: AzureMLClient, context: Context) -> Target:
        """Start it, or adopt what an earlier attempt of this very task has started."""
        raise NotImplementedError

    def result(self, client: AzureMLClient, target: Target) -> Result:  # noqa: ARG002 - for those that need the client
        """Return what came of it."""
        return {f"{target.kind}_name": target.name}

    def policy(self) -> Policy:
        """Return how to wait: Airflow itself does not watch over `execution_timeout` while a task is deferred."""
        from airflow_azml.client.lifecycle import Policy  # noqa: PLC0415 - not at parse time

        return Policy(self.poll_interval, least(self.timeout, self.execution_limit))

    def execute(self, context: Context) -> Result:
        """Submit, then wait, defer, or leave it at that."""
        with self.at_work():
            self.check_names()
            self._claim = Claim(context["ti"])
            self.target = self._submit(context)
            started = time.time()
            url = self.publish(context, self.target)
            self.log.info("%s: %s", self.target, url)
            if not self.wait_for_completion:
                return {**self.accepted(self.target), "studio_url": url}
            return self._wait(self.target, started)

    def accepted(self, target: Target) -> Result:
        """Return what is known right after submitting."""
        return {f"{target.kind}_name": target.name}

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Result:
        """Go on after the triggerer has waited."""
        from airflow_azml.client.logs import LogFollower  # noqa: PLC0415 - not at parse time

        with self.at_work():
            self._claim = Claim(context["ti"])
            self.target, decision = read_event(event)
            self.publish(context, self.target)
            position = event.get("log")
            return self._finish(self.target, decision, position and LogFollower(self.target, position))

    def on_kill(self) -> None:
        """Cancel what was started, be it only just being started: Airflow is killing the task."""
        self._killed = True
        if self.target and self._cancels(self.target):
            self.end(self.target, MAY_APPEAR if self._submitting else 0.0)

    def _submit(self, context: Context) -> Target:
        self._submitting = True
        target = self.submit(self.client, context)
        self._submitting = False
        if self._ending:
            self._ending.join()
        if self._killed and self._cancels(target):  # the kill may have found nothing yet
            self.end_here(target)
        return target

    def refuse_if_killed(self, target: Target) -> None:
        """Raise when the task has been killed: Airflow leaves it seconds, in which nothing more is to be started."""
        from airflow.providers.common.compat.sdk import AirflowException  # noqa: PLC0415 - not at parse time

        if self._killed:
            raise AirflowException(f"{target}: its task was killed before it was started")

    def _cancels(self, target: Target) -> bool:
        return self.cancel_on_kill and target.kind == "run"

    def _wait(self, target: Target, started: float) -> Result:
        from airflow_azml.client.lifecycle import Verdict, Watch  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.logs import LogFollower  # noqa: PLC0415 - likewise
        from airflow_azml.client.targets import look  # noqa: PLC0415 - likewise

        log = LogFollower(target) if self.stream_logs else None
        watch = Watch(target, self.policy(), started=started, log=self.log.info)
        decision = watch.step(partial(look, self.client))
        if decision.verdict is Verdict.CONTINUE:
            self._stop_if_killed(target)
            if default_deferrable() if self.deferrable is None else self.deferrable:
                how = {"cancel_on_kill": self.cancel_on_kill, "log": log and log.position}
                self.defer(trigger=self.trigger(target, watch.policy, started, **how), method_name="execute_complete")
            decision = self._sleep(watch, decision, log)
        return self._finish(target, decision, log)

    def _sleep(self, watch: Watch, decision: Decision, log: LogFollower | None) -> Decision:
        from airflow_azml.client.targets import look  # noqa: PLC0415 - not at parse time

        while decision.verdict == "continue":
            self._pause(watch.target, decision.wait)
            decision = watch.step(partial(look, self.client))
            if log and decision.observation.phase == "active":
                log.tell(log.read(self.client))
        return decision

    def _pause(self, target: Target, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            self._stop_if_killed(target)

    def _stop_if_killed(self, target: Target) -> None:
        """Wait no longer after a kill that leaves the target alone: a worker that shuts down waits for its tasks."""
        from airflow.providers.common.compat.sdk import AirflowException  # noqa: PLC0415 - not at parse time

        if self._killed and not self._cancels(target):
            raise AirflowException(f"{target}: its task was killed; it goes on, and the next try will find it")

    def _finish(self, target: Target, decision: Decision, log: LogFollower | None) -> Result:
        """Return the result of a wait that ended well; raise what a person needs to know of any other."""
        from airflow.providers.common.compat.sdk import AirflowException  # noqa: PLC0415 - not at parse time

        from airflow_azml.client import targets  # noqa: PLC0415 - likewise
        from airflow_azml.client.lifecycle import Verdict  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.errors import AzureMLError, ServiceError  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.plain_json import storable  # noqa: PLC0415 - likewise

        if decision.verdict is Verdict.TIMED_OUT and self.cancel_on_kill:
            try:
                decision = decision.after_cancel(targets.cancel(self.client, target), target.goal)
            except AzureMLError as error:
                raise TimeoutError(f"{target} {decision.limit}, and could not be cancelled: {error}") from error
        seen = decision.observation
        if log and decision.verdict is not Verdict.UNREACHABLE:
            log.tell(log.rest(self.client))
        if decision.verdict is Verdict.DONE:
            result: Result = storable(self.result(self.client, target))
            return {**result, "studio_url": targets.studio_url(self.client, target)}
        if decision.verdict is Verdict.FAILED:
            if self._killed and seen.phase == "canceled":
                raise AirflowException(f"{target}: its task was killed, so it was cancelled")
            raise targets.explain(self.client, target, seen)
        if decision.verdict is Verdict.UNREACHABLE:
            raise ServiceError(f"gave up waiting, it was left as it is: {seen.detail}", operation=f"watch {target}")
        raise TimeoutError(targets.overdue(self.client, target, decision.limit, seen))
