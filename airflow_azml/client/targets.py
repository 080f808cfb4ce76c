"""What can be done with anything that is waited for: look at it, cancel it, explain its failure, show it in studio.

One row per kind; the state machine itself is in `lifecycle`.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_azml.client.lifecycle import GONE, Goal, Kind, Observation, Phase, Target
from airflow_azml.client.transport.causes import Cause
from airflow_azml.client.transport.errors import AzureMLError, NotFoundError, OperationFailedError
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.reasons import Reason
from airflow_azml.client.transport.redact import redact
from airflow_azml.client.workspace import compute_page, endpoint_page, model_page, run_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.history import Run, RunState
    from airflow_azml.client.transport.longrunning import OperationState

LOG_LINES = 50
# The first line of a Python traceback and its frames, whose lines are indented.
_FRAMES = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t]+.*\n)*")
END_PATIENCE = 300.0  # seconds in which a run that is being cancelled may end before another is started after it
CANCEL_PATIENCE = 30.0  # seconds in which a cancelled run is expected to be seen canceled


def look(client: AzureMLClient, target: Target) -> Observation:
    """Ask the service how the target is; a target that does not exist is gone.

    A long-running operation is followed first: until it has ended the resource may still show its old state, and what
    the operation says of a failure counts more than what the resource shows.

    In a workspace that does not exist nothing is gone: a clean-up with a wrong connection would look well done.
    """
    if target.operation_url and (news := _look_at_operation(client, target)):
        return news
    try:
        seen = _LOOKS[target.kind](client, target)
    except NotFoundError:
        client.routing.require()
        return GONE
    if target.goal is Goal.GONE and target.operation_url:  # it is shown in its last state, which may be Failed
        return Observation(Phase.ACTIVE, seen.status)
    return seen


def look_at_all(client: AzureMLClient, targets: Iterable[Target]) -> dict[Target, Observation | AzureMLError]:
    """Ask how many targets are: the runs among them in as few requests as the service lets us.

    One that could not be looked at has the error for an answer, so that it does not take the others with it.
    """
    wanted = list(targets)
    ids = [target.name for target in wanted if target.kind is Kind.RUN]
    try:
        runs = client.runs.get_many(ids) if len(ids) > 1 else {}
    except AzureMLError as error:
        return dict.fromkeys(wanted, error)
    return {
        target: _of_run(runs[target.name]) if target.kind is Kind.RUN and target.name in runs else _try(client, target)
        for target in wanted
    }


def _try(client: AzureMLClient, target: Target) -> Observation | AzureMLError:
    try:
        return look(client, target)
    except AzureMLError as error:
        return error


def cancel(
    client: AzureMLClient,
    target: Target,
    *,
    may_appear: float = 0.0,
    check: Callable[[Run], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Observation:
    """Cancel a run and return how it is once that is seen, or after 30 s; whatever else there is has no cancel.

    :param may_appear: seconds in which a run that is not there may still come to be: its submission was under way.
    :param check: raises when the run must not be cancelled; called with the run before it is.
    """
    if target.kind is not Kind.RUN or target.goal is not Goal.SUCCEEDED:
        return look(client, target)
    began, asked = time.monotonic(), False
    while True:
        with suppress(NotFoundError):  # its task was killed before it was started
            if not asked:
                client.runs.cancel(target.name, target.parent or None, check=check)
                asked = True
        seen = look(client, target)
        waited = time.monotonic() - began
        if waited >= (may_appear if seen is GONE else CANCEL_PATIENCE) or (seen.phase.terminal and seen is not GONE):
            return seen
        sleep(1.0)


def settled(client: AzureMLClient, target: Target, *, sleep: Callable[[float], None] = time.sleep) -> Observation:
    """Wait until a run that somebody has cancelled has ended, and return how it is then, or after five minutes."""
    deadline = time.monotonic() + END_PATIENCE
    while (seen := look(client, target)).canceling and time.monotonic() < deadline:
        sleep(2.0)
    return seen


def explain(
    client: AzureMLClient, target: Target, observation: Observation, *, streamed: bool = False
) -> OperationFailedError:
    """Build the error of a target that failed: the service's reason, where to see it, the last lines of its log.

    :param streamed: whether its log was shown already: then neither its lines nor a traceback are repeated.
    """
    absent = "it does not exist" if observation.phase is Phase.GONE else "the service gives no reason"
    reason = _reason(client, target, observation)
    said = (_without_traceback(reason.text) if streamed else reason.text) or absent
    return OperationFailedError(
        "\n".join([said, *_where(client, target, observation, streamed=streamed)]),
        operation=f"{target}",
        code=observation.status,
        request_id=reason.request_id,
        cause=reason.cause if observation.phase is Phase.FAILED else Cause.UNKNOWN,
    )


def overdue(
    client: AzureMLClient, target: Target, limit: str, observation: Observation, *, streamed: bool = False
) -> str:
    """Say of a target that has passed a limit how it is, where to see it, and what its log says last.

    :param streamed: whether its log was shown already.
    """
    said = f"{target} {limit}; it is {observation.status} now"
    return redact("\n".join([said, *_where(client, target, observation, streamed=streamed)]))


def _without_traceback(text: str) -> str:
    """Return a reason without the frames of a Python traceback in it; the exception's own line stays."""
    return _FRAMES.sub("", text)


def _where(client: AzureMLClient, target: Target, observation: Observation, *, streamed: bool) -> Iterator[str]:
    """Yield where to see the target and, if there is a log that was not shown yet, its last lines."""
    yield f"See {studio_url(client, target)}"
    lines = log_tail(client, target) if observation.phase is not Phase.GONE and not streamed else []
    if lines:
        yield "\n".join([f"Last {len(lines)} lines of its log:", *lines])


def studio_url(client: AzureMLClient, target: Target) -> str:
    """Return the target's page in Azure ML studio."""
    page = _PAGES[target.kind](target)
    return client.workspace.studio_url(page, studio=client.cloud.studio)


def _look_at_operation(client: AzureMLClient, target: Target) -> Observation | None:
    """Return how the operation is; None when it has ended well or is not known, so that only the resource can tell."""
    state = _operation(client, target)
    if state.error:
        return Observation.of(target.kind, state.status, Reason(state.error.code, state.error.message).text)
    return None if state.done else Observation.of(target.kind, state.status)


def _operation(client: AzureMLClient, target: Target) -> OperationState:
    return Operation(target.operation_url, "location").poll(client.transport)


def _look_at_run(client: AzureMLClient, target: Target) -> Observation:
    return _of_run(client.runs.get(target.name, target.parent or None).state)


def _of_run(run: RunState) -> Observation:
    return Observation.of(Kind.RUN, run.status or "Unknown", run.detail, run.start_time_utc)


def _look_at_compute(client: AzureMLClient, target: Target) -> Observation:
    compute = client.computes.get(target.name)
    return Observation.of(Kind.COMPUTE, compute.provisioning_state, "; ".join(compute.errors))


def _look_at_instance(client: AzureMLClient, target: Target) -> Observation:
    return Observation.of(Kind.COMPUTE_INSTANCE, client.computes.get(target.name).state or "Unknown")


def _look_at_model(client: AzureMLClient, target: Target) -> Observation:
    if target.parent:
        client.models.get(target.name, target.parent)
    elif next(iter(client.models.list(target.name)), None) is None:
        return GONE
    return Observation.of(Kind.MODEL, "Registered")


def _look_at_endpoint(client: AzureMLClient, target: Target) -> Observation:
    return Observation.of(Kind.ENDPOINT, client.endpoints.get(target.name).provisioning_state)


def _look_at_deployment(client: AzureMLClient, target: Target) -> Observation:
    return Observation.of(Kind.DEPLOYMENT, client.deployments.get(target.parent, target.name).provisioning_state)


_LOOKS: Mapping[Kind, Callable[[AzureMLClient, Target], Observation]] = {
    Kind.RUN: _look_at_run,
    Kind.COMPUTE: _look_at_compute,
    Kind.COMPUTE_INSTANCE: _look_at_instance,
    Kind.ENDPOINT: _look_at_endpoint,
    Kind.DEPLOYMENT: _look_at_deployment,
    Kind.MODEL: _look_at_model,
}
_PAGES: Mapping[Kind, Callable[[Target], str]] = {
    Kind.RUN: lambda target: run_page(target.name),
    Kind.COMPUTE: lambda target: compute_page(target.name),
    Kind.COMPUTE_INSTANCE: lambda target: compute_page(target.name),
    Kind.ENDPOINT: lambda target: endpoint_page(target.name),
    Kind.DEPLOYMENT: lambda target: endpoint_page(target.parent),
    Kind.MODEL: lambda target: model_page(target.name, target.parent),
}


def _reason(client: AzureMLClient, target: Target, observation: Observation) -> Reason:
    """Return why it failed, as far as anybody knows: of a run, a long-running operation, or what was seen."""
    try:
        if target.kind is Kind.RUN and observation.phase is Phase.FAILED:
            return client.runs.get(target.name, target.parent or None).reason
        # Endpoints and deployments keep their reason only in the operation.
        error = _operation(client, target).error if target.operation_url else None
    except AzureMLError as unreadable:
        return Reason(message=observation.detail or f"(the reason could not be read: {unreadable})")
    if error is None:
        return Reason(message=observation.detail)
    return Reason(error.code, error.message, error.details, error.request_id)


def log_tail(client: AzureMLClient, target: Target) -> list[str]:
    """Return the last lines of what a run or deployment has printed; whatever else there is has no log."""
    try:
        if target.kind is Kind.RUN:
            return list(client.runs.tail_log(target.name, LOG_LINES))
        if target.kind is Kind.DEPLOYMENT and target.goal is Goal.SUCCEEDED:
            return client.deployments.logs(target.parent, target.name, tail=LOG_LINES).splitlines()[-LOG_LINES:]
    except AzureMLError as error:
        return [f"(the log could not be read: {error})"]
    return []
