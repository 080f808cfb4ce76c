"""Submitting is create-or-adopt: there is one run per attempt, and a later try of the task finds it.

A try looks for attempt 0, 1, 2, ... of its generation. It starts an attempt that does not exist, adopts one that is
active, and takes the result of one that has completed. A run is adopted or cancelled only when its tags agree with the
task's identity.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow_azml.client.lifecycle import Phase
from airflow_azml.client.transport.errors import AzureMLError, InputError, NotOwnedError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task

    Start = Callable[[str], Any]


def run(
    task: Task,
    experiment: str,
    start: Start,
    *,
    ready: AbstractContextManager[Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    display_name: str | None = None,
) -> Target:
    """Adopt the run of this attempt, or start it, and tag it.

    :param start: starts a run; called with its id.
    :param ready: entered before the start, such as a bundle that is packed then.
    :param tags: to set beside those of the task's identity.
    :param display_name: its name in studio.
    """
    more = _named(task, tags, display_name)
    target, exists = _current(task, experiment)
    task.kill.target = target
    if exists:
        task.log.info("%s: adopted, an earlier try of this task has started it", target)
    else:
        if task.kill.cancels:
            _cancel_former(task, experiment)
        with ready or nullcontext():
            task.kill.refuse_to_start()
            start(target.name)
    _tag(task, target, more)
    return target


def _named(task: Task, tags: Mapping[str, Any] | None, display_name: str | None) -> dict[str, Any]:
    """Return what is set at a run after its start; InputError for tags that cannot be set."""
    given, own = texts("tags", tags), task.identity.tags
    if reserved := given.keys() & own.keys():
        raise InputError("tags", sorted(reserved), "are set by the provider itself: choose other names")
    return {"tags": {**given, **own}, **({"display_name": display_name} if display_name else {})}


def _current(task: Task, experiment: str) -> tuple[Target, bool]:
    """Return the first run of this generation that has not failed, and whether it exists already."""
    for attempt in count():
        target = task.target("runs", task.identity.name(attempt), experiment)
        found = task.client.runs.find(target.name, experiment)
        if found is None:
            task.client.routing.require()
            return target, False
        task.identity.check_run(found)
        phase = task.client.runs.settled(target).phase if found.phase is Phase.CANCELING else found.phase
        if not phase.failed and phase is not Phase.CANCELING:
            return target, True
    raise AssertionError("unreachable: count() never ends")


def _tag(task: Task, target: Target, more: Mapping[str, Any]) -> None:
    """Tag a run that was just started or adopted; raise NotOwnedError when it is another task's.

    The request that starts a run has no place for tags, so Microsoft's own client sets them by a PATCH afterwards too.
    When it fails for another reason, the run goes on untagged and the next try tags it: see `Identity.check`.
    """
    try:
        task.client.runs.update(target.name, target.parent or None, check=task.identity.check_run, **more)
    except NotOwnedError:
        raise
    except AzureMLError as error:
        task.log.warning("%s: it could not be tagged: %s", target, error)


def _cancel_former(task: Task, experiment: str) -> None:
    """Cancel what was left active when the task was cleared: its worker may have died without a word.

    A generation is the number of the try that was the last when the task was cleared, and has no more attempts than
    there were tries until the next one.
    """
    identity = task.identity
    former = [
        identity.name(attempt, generation=generation)
        for generation in range(identity.generation)
        for attempt in range(identity.generation - generation)
    ]
    for name, found in task.client.runs.get_many(former).items() if former else ():
        if not found.phase.terminal:
            _cancel_left(task, task.target("runs", name, experiment))


def _cancel_left(task: Task, left: Target) -> None:
    try:
        task.cancel(left, why="left active when the task was cleared")
    except NotOwnedError as error:
        task.log.warning("%s", error)
