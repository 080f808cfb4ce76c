"""The runs of a task: which one is this try's, and which of earlier generations are still active.

A run is adopted or cancelled only when its tags agree with the task's identity.
"""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING

from airflow_azml.client import targets
from airflow_azml.client.lifecycle import GONE, Kind, Phase, Target
from airflow_azml.client.transport.errors import AzureMLError, NotOwnedError

if TYPE_CHECKING:
    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.runtime.identity import Identity

log = logging.getLogger(__name__)


def current(client: AzureMLClient, identity: Identity, experiment: str) -> tuple[Target, bool]:
    """Return the first run of this generation that has not failed, and whether it exists already.

    :param experiment: of the run.
    """
    for attempt in count():
        target = Target(Kind.RUN, identity.name(attempt), parent=experiment)
        seen = targets.look(client, target)
        if seen is GONE:
            return target, False
        identity.check_run(client.runs.get(target.name, experiment))
        if seen.canceling:
            seen = targets.settled(client, target)
        if seen.phase not in {Phase.FAILED, Phase.CANCELED} and not seen.canceling:
            return target, True
    raise AssertionError("unreachable: count() never ends")


def tag(client: AzureMLClient, identity: Identity, target: Target) -> None:
    """Tag a run that was just started or adopted; raise NotOwnedError when it is another task's.

    The request that starts a run has no place for tags, so Microsoft's own client sets them by a PATCH afterwards too.
    When it fails for another reason, the run goes on untagged and the next try tags it: see `Identity.check`.
    """
    try:
        client.runs.update(target.name, target.parent or None, tags=identity.tags, check=identity.check_run)
    except NotOwnedError:
        raise
    except AzureMLError as error:
        log.warning("%s: it could not be tagged: %s", target, error)


def cancel_former(client: AzureMLClient, identity: Identity, experiment: str) -> None:
    """Cancel what was left active when the task was cleared: its worker may have died without a word.

    A generation is the number of the try that was the last when the task was cleared, and has no more attempts than
    there were tries until the next one.
    """
    now = identity.generation
    former = [
        identity.name(attempt, generation=generation)
        for generation in range(now)
        for attempt in range(now - generation)
    ]
    for run in client.runs.get_many(former).values() if former else ():
        if not run.terminal:
            _cancel(client, identity, Target(Kind.RUN, run.run_id, parent=experiment))


def _cancel(client: AzureMLClient, identity: Identity, left: Target) -> None:
    try:
        status = targets.cancel(client, left, check=identity.check_run).status
    except NotOwnedError as error:
        log.warning("%s", error)
    else:
        log.info("%s: left active when the task was cleared, so it was cancelled: %s now", left, status)
