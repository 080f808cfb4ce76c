"""Runs: started from a project folder and a run definition (v1), listed, marked and cancelled.

A v2 job is a run too: all methods that read runs also read jobs.
https://learn.microsoft.com/rest/api/azureml/
"""

from __future__ import annotations

import logging
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_azml.client.files.bodies import MultipartStream
from airflow_azml.client.lifecycle import GONE, Goal, Observation, Phase
from airflow_azml.client.merging import differences, refuse
from airflow_azml.client.names import check_experiment_name, check_run_id
from airflow_azml.client.resources.environment import Environments
from airflow_azml.client.resources.experiment import HISTORY, Experiments
from airflow_azml.client.resources.metric import Metrics
from airflow_azml.client.resources.run_history import STATUSES, Run, RunHistory, RunState
from airflow_azml.client.resources.run_log import RunLogs
from airflow_azml.client.transport.errors import AzureMLError, ConflictError, InvalidRequestError, NotFoundError
from airflow_azml.client.transport.plain_json import encode
from airflow_azml.client.transport.reasons import Reason
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from airflow_azml.client.files.bundle import Bundle
    from airflow_azml.client.lifecycle import Target
    from airflow_azml.client.resources.resource import Lines
    from airflow_azml.client.resources.value import Json

log = logging.getLogger(__name__)
EXECUTION = "execution/v1.0"
CANCELLED_WITHIN = 30.0
"""Seconds in which a cancelled run is expected to be seen canceled."""
MOST_VALUES = 10_000
"""Values of list metrics that a result holds at most: XCom is no place for more."""
_PAGE = 500


class Runs(RunHistory):
    """Start, read and cancel runs. The parent of a target is the experiment, which may be left out."""

    kind = "runs"
    cancellable = True
    names = ("run_id", "experiment_name")
    state = "status"
    facts = ("started", "ended", "duration", "metrics")

    def start(self, experiment: str, bundle: Bundle, definition: Json, run_id: str) -> Target:
        """Start a run of a project folder. Safe to repeat: a run of this id that exists is adopted.

        :param bundle: the folder, within its ``with``; it is streamed from disk.
        :param definition: see :func:`airflow_azml.client.specs.run_definition.run_definition`.
        :param run_id: chosen by the caller, unique in the workspace.
        """
        definition = self.beside(Environments).inlined(definition)
        body = MultipartStream(
            ("runDefinitionFile", "definition.json", encode(definition, "definition")),
            ("projectZipFile", "project.zip", bundle.path),
        )
        headers = {"Content-Type": body.content_type}
        return self._start(experiment, "startrun", run_id, data=body, headers=headers)

    def start_snapshot(self, experiment: str, snapshot_id: str, definition: Json, run_id: str) -> Target:
        """Start a run of a folder that the workspace has already. Safe to repeat, as :meth:`start` is.

        :param snapshot_id: see :meth:`airflow_azml.client.resources.snapshot.Snapshots.upload`.
        """
        body = {**self.beside(Environments).inlined(definition), "snapshotId": snapshot_id}
        return self._start(experiment, "snapshotrun", run_id, json=body)

    def get(self, run_id: str, experiment: str | None = None) -> Run:
        """Return a run; NotFoundError when there is none."""
        return Run.of(self.read_run(run_id, experiment))

    def find(self, run_id: str, experiment: str | None = None) -> Run | None:
        """Return a run, or None."""
        try:
            return self.get(run_id, experiment)
        except NotFoundError:
            return None

    def list(
        self,
        experiment: str | None = None,
        *,
        filter: str = "",  # noqa: A002 - the API's own word
        order_by: str = "CreatedUtc desc",
        limit: int | None = None,
    ) -> Iterator[Run]:
        """Yield the runs of an experiment, or of all of them one after the other; not those that were archived.

        :param filter: see :func:`airflow_azml.client.filters.run_filter`.
        :param limit: at most so many.
        """
        all_names = (found.name for found in self.beside(Experiments).list())
        names = all_names if experiment is None else [experiment]
        runs = (run for name in names for run in self._of_experiment(name, filter, order_by, limit))
        return islice(runs, limit)

    def on_compute(self, compute_name: str, *, filter: str = "") -> Iterator[Run]:  # noqa: A002 - the API's own word
        """Yield the runs that were sent to a compute, of all experiments."""
        return self._listed(self.regional(HISTORY, "computes", compute_name, "runs"), "list runs of compute", filter)

    def children(self, run_id: str, experiment: str | None = None, *, filter: str = "") -> Iterator[Run]:  # noqa: A002 - the API's own word
        """Yield the runs that a run has started: steps of a pipeline, trials of a sweep."""
        return self._listed(self.run_url(run_id, experiment, "children"), "list child runs", filter)

    def update(
        self,
        run_id: str,
        experiment: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        display_name: str | None = None,
        description: str | None = None,
        check: Callable[[Run], None] | None = None,
    ) -> Run:
        """Add or change tags, add properties, rename or describe a run; return it as it is now.

        A property that the run has already never changes: ConflictError when another value is given for it.

        :param check: raises when the run must not be changed; called with the run before it is.
        """
        named = {"displayName": display_name, "description": description}
        added = texts("properties", properties)
        wanted = {
            "tags": texts("tags", tags),
            "properties": added,
            **{name: value for name, value in named.items() if value is not None},
        }
        there = self.get(run_id, experiment)  # PATCH of an unknown run would create it
        if check:
            check(there)
        known = {name: value for name, value in added.items() if name in there.properties}
        refuse(f"run {run_id}", differences(there.properties, known, path="properties.", exact=True))
        if not differences(there.raw, wanted, exact=True):
            return there
        body = {"runId": run_id, **wanted}
        return Run.of(self.http.json("PATCH", self.run_url(run_id, experiment), operation="update run", json=body))

    def delete_tags(self, run_id: str, names: Iterable[str], experiment: str | None = None) -> None:
        """Take tags away."""
        url = self.run_url(run_id, experiment, "tags")
        self.http.request("DELETE", url, operation="delete run tags", json=[*names])

    def request_cancel(
        self, run_id: str, experiment: str | None = None, *, check: Callable[[Run], None] | None = None
    ) -> Run:
        """Ask the service to cancel a run; one that has ended is left as it is. Returns the run as it was seen last.

        :param check: raises when the run must not be cancelled; called with the run before it is.
        """
        run = self.get(run_id, experiment)
        if check:
            check(run)
        if run.phase.terminal:
            return run
        try:
            self.http.request("POST", self._cancel_url(run, experiment), operation="cancel run", retry="always")
        except (InvalidRequestError, ConflictError):
            run = self.get(run_id, experiment)
            if not run.phase.terminal:  # it did not end while we asked: the refusal is real
                raise
        return run

    def cancel(
        self, target: Target, *, may_appear: float = 0.0, check: Callable[[Run], None] | None = None
    ) -> Observation:
        """Cancel a run and return how it is once it is seen canceled, or after 30 s.

        :param may_appear: seconds in which a run that is not there may still come to be: its submission was under way.
        :param check: raises when the run must not be cancelled; called with the run before it is.
        """
        if target.goal is not Goal.SUCCEEDED:
            return self.look(target)
        began = time.monotonic()
        while not self._asked_to_cancel(target, check):  # its task was killed before it was started
            if time.monotonic() - began >= may_appear:
                return GONE
            self.http.pause(1.0)
        while not (seen := self.look(target)).phase.terminal and time.monotonic() - began < CANCELLED_WITHIN:
            self.http.pause(1.0)
        return seen

    def observe(self, target: Target) -> Observation:
        """Return its status, with the reason of a failure or what it still waits for."""
        return _observation(self.get(target.name, target.parent or None))

    def look_many(self, targets: Iterable[Target]) -> dict[Target, Observation | AzureMLError]:
        """Return how many runs are, in few requests. One that the service did not tell about is asked for alone."""
        wanted = [*targets]
        try:
            states = self.get_many(target.name for target in wanted) if len(wanted) > 1 else {}
        except AzureMLError as error:
            return dict.fromkeys(wanted, error)
        looks = {
            target: partial(_observation, states[target.name]) if target.name in states else partial(self.look, target)
            for target in wanted
        }
        return {target: self.tried(target, look) for target, look in looks.items()}

    def log(self, target: Target, lines: int) -> Lines:
        """Return the last lines of what the user's own code has printed."""
        return self.beside(RunLogs).tail(target.name, lines, target.parent or None)

    def page(self, target: Target) -> str:
        """Return the path of its page in Azure ML studio."""
        return run_page(target.name)

    def reason(self, target: Target, observation: Observation) -> Reason:
        """Return why it failed."""
        if observation.phase is not Phase.FAILED:
            return Reason(message=observation.detail)
        return self.get(target.name, target.parent or None).reason

    def result(self, target: Target, *, metrics: bool | Collection[str] = True) -> dict[str, Any]:
        """Return its id, experiment, status, times and metrics. Metrics that cannot be read are None.

        :param metrics: False reads none; names read these.
        """
        run = self.get(target.name, target.parent or None)
        experiment = target.parent or self._experiment_of(run)
        return {
            "run_id": run.id,
            "experiment_name": experiment,
            "status": run.status,
            "started": run.started,
            "ended": run.ended,
            "duration": run.duration,
            "metrics": self._metrics(run.id, experiment, metrics),
        }

    def _asked_to_cancel(self, target: Target, check: Callable[[Run], None] | None) -> bool:
        """Ask for it; return False when there is no such run."""
        try:
            self.request_cancel(target.name, target.parent or None, check=check)
        except NotFoundError:
            self.routing.require()
            return False
        return True

    def _experiment_of(self, run: Run) -> str | None:
        """Return the name of a run's experiment. A run that has ended does not fail because it cannot be read."""
        try:
            return self.beside(Experiments).by_id(run.experiment_id).name
        except AzureMLError as error:
            log.warning("the experiment of run %s is not known: %s", run.id, error)
            return None

    def _metrics(self, run_id: str, experiment: str | None, wanted: bool | Collection[str]) -> dict[str, Any] | None:
        if wanted is False:
            return None
        metrics = self.beside(Metrics)
        try:
            if experiment:
                metrics.wait_until_ingested(run_id, experiment)
            return metrics.latest(run_id, None if wanted is True else wanted, most=MOST_VALUES)
        except AzureMLError as error:  # the run has ended well, whatever becomes of its metrics
            log.warning("run %s: its metrics could not be read: %s", run_id, error)
            return None

    def _start(self, experiment: str, verb: str, run_id: str, **content: Any) -> Target:
        check_run_id(run_id)
        self.beside(Experiments).create(check_experiment_name(experiment))
        url = self.regional(EXECUTION, "experiments", experiment, verb)

        def create() -> str:
            answer = self.http.json(
                "POST", url, operation="start run", params={"runId": run_id}, retry="never", **content
            )
            return str(answer.get("runId") or run_id)

        def find() -> str | None:
            found = self.find(run_id, experiment)
            return found.id if found else None

        return self.target(self.once(create, find), experiment)

    def _of_experiment(self, name: str, filter_: str, order_by: str, limit: int | None) -> Iterator[Run]:
        asked = {"filter": filter_} if filter_ else {}
        body = {**asked, "orderBy": order_by, "top": min(limit or _PAGE, _PAGE)}
        url = self.regional(HISTORY, "experiments", name) + "/runs:query"
        rows = self.http.pages("POST", url, operation="query runs", json=body, retry="always")
        return (run for run in map(Run.of, rows) if not run.hidden)

    def _listed(self, url: str, operation: str, filter_: str) -> Iterator[Run]:
        params = {"$top": _PAGE, **({"$filter": filter_} if filter_ else {})}
        rows = self.http.pages("GET", url, operation=operation, params=params)
        return (run for run in map(Run.of, rows) if not run.hidden)

    def _cancel_url(self, run: Run, experiment: str | None) -> str:
        if run.cancel_uri and self.http.cloud.trusts(run.cancel_uri):
            return run.cancel_uri
        name = self.beside(Experiments).by_id(run.experiment_id).name if experiment is None else experiment
        return self.regional(EXECUTION, "experiments", name, "runId", run.id, "cancel")


def run_page(run_id: str) -> str:
    """Return the path of a run's page in studio."""
    return f"/runs/{quote(run_id, safe='')}"


def _observation(run: Run | RunState) -> Observation:
    return Observation.of(STATUSES, run.status or "Unknown", run.detail, run.started or None)
