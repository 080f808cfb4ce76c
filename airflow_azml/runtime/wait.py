"""An operator that waits: submit, publish the link, wait here or in the triggerer, and report how it ended."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from airflow_azml.client.lifecycle import Policy, Verdict, Watch
from airflow_azml.client.transport.errors import AzureMLError, NotFoundError
from airflow_azml.runtime import report
from airflow_azml.triggers.azureml import AzureMLTrigger
from airflow_azml.triggers.patience import REFUSALS, Queueing, may_pass, patient

if TYPE_CHECKING:
    from airflow_azml.client.lifecycle import Decision, Observation, Target
    from airflow_azml.client.resources.run_log import LogFollower
    from airflow_azml.runtime.task import Task

    Result = dict[str, Any]


def execute(task: Task) -> Result:
    """Submit, then wait, defer, or leave it at that."""
    with task.kill.at_work():
        task.check_names()
        task.kill.claim()
        target = _submit(task)
        started = time.time()
        url = task.publish(target)
        task.log.info("%s: %s", target, url)
        if not task.operator.wait_for_completion:
            return report.accepted(task, target)
        return _wait(task, target, started)


def complete(task: Task, event: dict[str, Any]) -> Result:
    """Go on after the triggerer has waited."""
    with task.kill.at_work():
        task.kill.claim()
        task.kill.target, decision = target, _ = report.read_event(event)
        position = event.get("log")
        follow = (lambda: task.client.logs.follow(target, position)) if position else None
        return report.ended(task, target, decision, follow)


def look(task: Task, target: Target) -> Observation:
    """Look at the target. The connection is read again when it is refused: its secret may have been replaced."""
    try:
        return patient(task.look, target)
    except REFUSALS:
        task.reconnect()
        raise


def trigger(task: Task, target: Target, policy: Policy, started: float, **how: Any) -> AzureMLTrigger:
    """Return the trigger that waits for the target.

    :param how: further arguments of the trigger.
    """
    return AzureMLTrigger(
        azureml_conn_id=task.operator.azureml_conn_id,
        target=to_builtins(target),
        poll_interval=policy.poll_interval,
        timeout=policy.timeout,
        queue_timeout=policy.queue_timeout,
        run_timeout=policy.run_timeout,
        started=started,
        cancel_on_kill=task.kill.cancels,
        **how,
    )


def _submit(task: Task) -> Target:
    with task.kill.submitting():
        target: Target = task.operator.submit(task)
        task.kill.target = target
    return target


def _wait(task: Task, target: Target, started: float) -> Result:
    follower = task.client.logs.follow(target) if task.operator.stream_logs else None
    watch = Watch(target, _policy(task), started=started, log=task.log.info)
    decision = watch.step(partial(_first_look, task))
    if decision.verdict is Verdict.CONTINUE:
        task.kill.refuse_to_wait()
        if task.deferrable:
            how = trigger(task, target, watch.policy, started, log=follower and follower.position)
            task.operator.defer(trigger=how, method_name="execute_complete")
        decision = _sleep(task, watch, decision, follower)
    return report.ended(task, target, decision, (lambda: follower) if follower else None)


def _first_look(task: Task, target: Target) -> Observation:
    """Look at what was just submitted. In a workspace that does not exist nothing was, which fails the task at once."""
    try:
        return task.look(target)
    except NotFoundError:
        raise
    except AzureMLError as error:
        raise may_pass(error)  # noqa: B904 - it is the same error


def _policy(task: Task) -> Policy:
    """Return how to wait: Airflow itself does not watch over `execution_timeout` while a task is deferred."""
    operator = task.operator
    timeout = least(operator.timeout, task.execution_limit)
    return Policy(
        operator.poll_interval, timeout, queue_timeout=operator.queue_timeout, run_timeout=operator.run_timeout
    )


def _sleep(task: Task, watch: Watch, decision: Decision, follower: LogFollower | None) -> Decision:
    queueing = Queueing(watch.target, watch.started)
    while decision.verdict is Verdict.CONTINUE:
        _pause(task, decision.wait)
        decision = watch.step(partial(look, task))
        if line := queueing.line(decision.observation):
            task.log.info("%s", line)
        if follower and decision.observation.phase in {"active", "canceling"}:
            follower.tell(follower.read())
    return decision


def _pause(task: Task, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        task.kill.refuse_to_wait()


def least(*limits: float | None) -> float | None:
    """Return the smallest of those limits that there are."""
    return min((limit for limit in limits if limit is not None), default=None)
