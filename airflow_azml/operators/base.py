"""What every operator does, written once: submit, publish the link, wait or defer, cancel, report.

An operator that only acts declares `act`; one that starts something declares `submit` and, if it has one, `result`.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from airflow_azml.task import STUDIO_LINKS, UI_COLOR, AzureMLTask, default_deferrable, read_event, task_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Decision, Target, Watch

Result = dict[str, Any]


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
        with task_errors():
            return self.act(self.client, context)

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

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 5.0,
        timeout: float | None = None,
        on_kill: Literal["cancel", "detach"] = "cancel",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        if on_kill not in {"cancel", "detach"}:
            raise ValueError(f"on_kill {on_kill!r}: must be 'cancel' or 'detach'")
        self.cancel_on_kill = on_kill == "cancel"
        self.target: Target | None = None

    def submit(self, client: AzureMLClient, context: Context) -> Target:
        """Start it, or adopt what an earlier attempt of this very task has started."""
        raise NotImplementedError

    def result(self, client: AzureMLClient, target: Target) -> Result:  # noqa: ARG002 - for those that need the client
        """Return what came of it."""
        return {f"{target.kind}_name": target.name}

    def execute(self, context: Context) -> Result:
        """Submit, then wait, defer, or leave it at that."""
        with task_errors():
            started = time.time()
            self.target = self.submit(self.client, context)
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
        with task_errors():
            self.target, decision = read_event(event)
            self.publish(context, self.target)
            return self._finish(self.target, decision)

    def on_kill(self) -> None:
        """Cancel what was started: Airflow is killing the task."""
        from airflow_azml.client.targets import cancel  # noqa: PLC0415 - not at parse time

        if self.target and self.target.kind == "run" and self.cancel_on_kill:
            status = cancel(self.client, self.target).status
            self.log.info("%s: its task was killed, so it was cancelled: %s now", self.target, status)

    def _wait(self, target: Target, started: float) -> Result:
        from airflow_azml.client.lifecycle import Policy, Verdict, Watch  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.targets import look  # noqa: PLC0415 - likewise

        watch = Watch(target, Policy(self.poll_interval, self.timeout), started=started, log=self.log.info)
        decision = watch.step(partial(look, self.client))
        if decision.verdict is Verdict.CONTINUE:
            if default_deferrable() if self.deferrable is None else self.deferrable:
                trigger = self.trigger(
                    target, self.poll_interval, self.timeout, started, cancel_on_kill=self.cancel_on_kill
                )
                self.defer(trigger=trigger, method_name="execute_complete")
            decision = self._sleep(watch, decision)
        return self._finish(target, decision)

    def _sleep(self, watch: Watch, decision: Decision) -> Decision:
        from airflow_azml.client.targets import look  # noqa: PLC0415 - not at parse time

        while decision.verdict == "continue":
            time.sleep(decision.wait)
            decision = watch.step(partial(look, self.client))
        return decision

    def _finish(self, target: Target, decision: Decision) -> Result:
        """Return the result of a wait that ended well; raise what a person needs to know of any other."""
        from airflow_azml.client import targets  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.errors import ServiceError  # noqa: PLC0415 - likewise
        from airflow_azml.client.lifecycle import Verdict  # noqa: PLC0415 - likewise

        seen = decision.observation
        if decision.verdict is Verdict.DONE:
            return {**self.result(self.client, target), "studio_url": targets.studio_url(self.client, target)}
        if decision.verdict is Verdict.FAILED:
            raise targets.explain(self.client, target, seen)
        if decision.verdict is Verdict.UNREACHABLE:
            raise ServiceError(f"gave up waiting, it was left as it is: {seen.detail}", operation=f"watch {target}")
        if self.cancel_on_kill:
            seen = targets.cancel(self.client, target)
        raise TimeoutError(f"{target} had not ended after {self.timeout:.0f} s; it is {seen.status} now")
