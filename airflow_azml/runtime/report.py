"""The end of a wait: the result as plain JSON, or an error that says why, where to look and what to do.

An error on our side after the end does not fail a finished run: values that cannot be read are None in the result.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from msgspec import convert

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.lifecycle import Decision, Target, Verdict
from airflow_azml.client.transport.errors import AzureMLError, ServiceError, from_event
from airflow_azml.client.transport.plain_json import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_azml.client.lifecycle import Observation
    from airflow_azml.client.resources.run_log import LogFollower
    from airflow_azml.runtime.task import Task

T = TypeVar("T")
Result = dict[str, Any]
log = logging.getLogger(__name__)
EXPECTED = (AzureMLError, TimeoutError, AirflowException)
"""Errors whose messages say all that a person needs."""


def guarded(operator: Any, work: Callable[[], T]) -> T:
    """Do a task's work. An error that no retry can mend fails the task at once; Airflow retries the others.

    An expected error says all that a person needs, so it is raised again without a chain: Airflow would show each of
    its links with a traceback. For callbacks the original is the `__context__`.
    """
    try:
        return work()
    except (AzureMLError, TimeoutError) as error:
        raised: Exception = error
        if isinstance(error, AzureMLError):
            _suggest(operator.work, error)
        if isinstance(error, AzureMLError) and error.permanent:
            raised = AirflowFailException(str(error))
            raised.__context__ = error
    raise raised from None


def act(task: Task) -> Result:
    """Do what an operator is for that waits for nothing."""
    task.check_names()
    result: Result = storable(task.operator.act(task))
    return result


def accepted(task: Task, target: Target) -> Result:
    """Return the result of a task that does not wait: the same keys as after a wait, None where nothing is known."""
    facts = AzureMLClient.kind_of(target).known(target)
    result: Result = storable({**facts, "studio_url": task.client.studio_url(target)})
    return result


def facts_of(task: Task, target: Target, seen: Observation) -> Result:
    """Return what is worth knowing about something that has ended well."""
    try:
        client = task.client
    except Exception as error:  # noqa: BLE001 - the connection may be gone by now, which harms nothing
        task.log.warning("what else is known about %s could not be read: %s", target, error)
        return AzureMLClient.kind_of(target).known(target, seen)
    return client.result(target, seen, **getattr(task.operator, "result_options", dict)())


def read_event(event: Mapping[str, Any]) -> tuple[Target, Decision]:
    """Read what the trigger fired; raise the error that it met."""
    if "error" in event:
        raise from_event(event["error"])
    return convert(event["target"], Target), convert(event["decision"], Decision)


def ended(task: Task, target: Target, decision: Decision, follow: Callable[[], LogFollower] | None) -> Result:
    """Return the result of an operator's wait that ended well; raise what a person needs to know of any other.

    :param follow: returns what shows the rest of the log; None when the log is not shown.
    """
    if decision.verdict is Verdict.TIMED_OUT and task.kill.cancels:
        decision = _cancelled(task, target, decision)
    seen = decision.observation
    if follow and decision.verdict is not Verdict.UNREACHABLE:
        show_rest(task, follow)
    if decision.verdict is Verdict.DONE:
        facts: Result = storable({**facts_of(task, target, seen), "studio_url": _url(task, target)})
        return facts
    if decision.verdict is Verdict.FAILED and task.kill.happened and seen.phase == "canceled":
        raise AirflowException(f"{target}: its task was killed, so it was cancelled")
    raise failure(task, target, decision, streamed=follow is not None)


def failure(task: Task, target: Target, decision: Decision, *, streamed: bool) -> AzureMLError | TimeoutError:
    """Return the error of a wait that did not end well.

    :param streamed: whether the log of the target stands in the task's log already.
    """
    seen = decision.observation
    if decision.verdict is Verdict.FAILED:
        return task.client.explain(target, seen, streamed=streamed)
    if decision.verdict is Verdict.UNREACHABLE:
        return ServiceError(f"gave up waiting, it was left as it is: {seen.detail}", operation=f"watch {target}")
    return TimeoutError(task.client.overdue(target, decision.limit, seen, streamed=streamed))


def show_rest(task: Task, follow: Callable[[], LogFollower]) -> None:
    """Show what is left of a log; a log that cannot be read harms nothing."""
    try:
        follower = follow()
        follower.tell(follower.rest())
    except Exception as error:  # noqa: BLE001 - the run has ended, whatever stands in the way of its log
        task.log.warning("the rest of the log could not be shown: %s", error)


def _suggest(task: Task | None, error: AzureMLError) -> None:
    """Add the names that were probably meant to an error about a name; whatever stands in the way, the error counts."""
    if task is None or error.status_code is None:
        return
    try:
        task.client.suggest(error)
    except Exception as unknown:  # noqa: BLE001 - see above
        log.debug("what was meant is not known: %s", unknown)


def _cancelled(task: Task, target: Target, decision: Decision) -> Decision:
    try:
        return decision.after_cancel(task.cancel(target, why="its time is over"), target.goal)
    except AzureMLError as error:
        raise TimeoutError(f"{target} {decision.limit}, and could not be cancelled: {error}") from None


def _url(task: Task, target: Target) -> str | None:
    try:
        return task.client.studio_url(target)
    except Exception as error:  # noqa: BLE001 - the connection may be gone by now, which harms nothing
        task.log.warning("the link to studio is not known: %s", error)
        return None
