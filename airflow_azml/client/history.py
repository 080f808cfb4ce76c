"""The run history: what the service knows of every run, be it a v1 run or a v2 job, whoever has started it.

https://learn.microsoft.com/rest/api/azureml/
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_azml.client import versions
from airflow_azml.client.experiments import HISTORY, Experiments
from airflow_azml.client.merging import differences, refuse
from airflow_azml.client.names import check_run_id
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import AzureMLError, InvalidRequestError, NotFoundError
from airflow_azml.client.transport.reasons import Reason
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

TERMINAL = frozenset({"completed", "failed", "canceled"})
"""Finalizing is not among them: outputs are still being uploaded."""
_BATCH, _LARGEST_BATCH = 100, 500
"""Runs per request: what Microsoft's own client takes; no limit is published."""
_PAUSE = 0.1
"""Seconds between two single requests where one for many was wanted."""
_PAGE = 500
_NO_REASON = Reason()
_ABSENT = frozenset({404, 405, 501})


class RunState(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """How a run is: what a wait needs to know of it. Of thousands of runs nothing else is decoded.

    It is a tree: there are no cycles for the garbage collector to find, who would look through all of Airflow for them.

    :param start_time_utc: when it began to run, in the service's format; None while it has not.
    :param queueing_info: what a queued run waits for, where the service tells.
    """

    run_id: str = ""
    status: str | None = None
    error: Any = None
    start_time_utc: Any = None
    queueing_info: Any = None

    @property
    def terminal(self) -> bool:
        """Whether its status will not change any more."""
        return (self.status or "").lower() in TERMINAL

    @property
    def detail(self) -> str:
        """The deepest reason of a failure, or what it still waits for."""
        if self.error:
            return Reason.of(self.error).text
        return str((self.queueing_info or {}).get("message") or "")


class _Found(msgspec.Struct, rename="camel", gc=False):
    run_metadata: RunState | None = None


class _Batch(msgspec.Struct, rename="camel"):
    successful_results: dict[str, _Found] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run or job as the run history describes it.

    :param status: the service's word: NotStarted, Queued, Preparing, Running, Finalizing, Completed, Failed, Canceled
        ...
    :param error: the deepest reason of a failure, empty otherwise.
    :param reason: the same with codes, request id and cause.
    :param data_container_id: where its outputs are, empty while it has none.
    :param raw: the answer's JSON.
    """

    id: str
    status: str
    experiment_id: str
    display_name: str
    created: str
    started: str
    ended: str
    tags: Mapping[str, str]
    properties: Mapping[str, str]
    error: str
    data_container_id: str
    cancel_uri: str
    reason: Reason
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Run:
        """Read the service's JSON."""
        reason = Reason.of(raw["error"]) if raw.get("error") else _NO_REASON
        return cls(
            reason=reason,
            id=str(raw.get("runId") or ""),
            status=str(raw.get("status") or "Unknown"),
            experiment_id=str(raw.get("experimentId") or ""),
            display_name=str(raw.get("displayName") or raw.get("name") or ""),
            created=str(raw.get("createdUtc") or ""),
            started=str(raw.get("startTimeUtc") or ""),
            ended=str(raw.get("endTimeUtc") or ""),
            tags=raw.get("tags") or {},
            properties=raw.get("properties") or {},
            error=reason.text,
            data_container_id=str(raw.get("dataContainerId") or ""),
            cancel_uri=str(raw.get("cancelUri") or ""),
            raw=raw,
        )

    @property
    def state(self) -> RunState:
        """How it is."""
        return msgspec.convert(self.raw, RunState)

    @property
    def terminal(self) -> bool:
        """Whether its status will not change any more."""
        return self.state.terminal


class RunHistory(Service):
    """Read and mark runs. ``experiment`` may be left out: it helps services without workspace-level paths."""

    _batch_works = True
    batch_size = _BATCH
    """Runs per request of :meth:`get_many`. No limit is published: it grows while the service accepts it."""
    _largest_batch = _LARGEST_BATCH

    @property
    def _experiments(self) -> Experiments:
        return Experiments(self.http, self.workspace, self.routing)

    def get(self, run_id: str, experiment: str | None = None) -> Run:
        """Return a run; NotFoundError when there is none."""
        return Run.parse(self._read(run_id, experiment, operation="get run"))

    def get_many(self, run_ids: Iterable[str], experiment: str | None = None) -> dict[str, RunState]:
        """Return how many runs are, in few requests. An id that is missing may still be a run: ask :meth:`get`."""
        wanted = list(dict.fromkeys(run_ids))
        found: dict[str, RunState] = {}
        while wanted:
            some = wanted[: self.batch_size]
            try:
                found.update(self._read_batch(some, experiment))
            except InvalidRequestError:
                if len(some) == 1:
                    raise
                self.batch_size = self._largest_batch = len(some) // 2
                continue
            del wanted[: len(some)]
            if len(some) == self.batch_size:
                self.batch_size = min(2 * self.batch_size, self._largest_batch)
        return found

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
        names = (found.name for found in self._experiments.list()) if experiment is None else [experiment]
        runs = (run for name in names for run in self._of_experiment(name, filter, order_by, limit))
        return islice(runs, limit)

    def on_compute(self, compute_name: str, *, filter: str = "") -> Iterator[Run]:  # noqa: A002 - the API's own word
        """Yield the runs that were sent to a compute, of all experiments."""
        return self._rows(
            "GET", self.regional(HISTORY, "computes", compute_name, "runs"), "list runs of compute", filter
        )

    def children(self, run_id: str, experiment: str | None = None, *, filter: str = "") -> Iterator[Run]:  # noqa: A002 - the API's own word
        """Yield the runs that a run has started: steps of a pipeline, trials of a sweep."""
        return self._rows("GET", self._url(run_id, experiment, "children"), "list child runs", filter)

    def details(self, run_id: str, experiment: str | None = None) -> Mapping[str, Any]:
        """Return a run's details: ``logFiles``, ``error``, ``warnings``, ``runDefinition`` ..."""
        details = self._read(run_id, experiment, "details", operation="get run details")
        for url in (details.get("logFiles") or {}).values():
            self.http.signed(url)
        return details

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
        return Run.parse(self.http.json("PATCH", self._url(run_id, experiment), operation="update run", json=body))

    def delete_tags(self, run_id: str, names: Iterable[str], experiment: str | None = None) -> None:
        """Take tags away."""
        url = self._url(run_id, experiment, "tags")
        self.http.request("DELETE", url, operation="delete run tags", json=list(names))

    def _read(self, run_id: str, experiment: str | None, *below: str, operation: str) -> dict[str, Any]:
        """GET at workspace level, then below the experiment where a service knows only that."""
        check_run_id(run_id)
        try:
            answer: dict[str, Any] = self.http.json(
                "GET", self.regional(HISTORY, "runs", run_id, *below), operation=operation, params=versions.HISTORY
            )
        except AzureMLError as error:
            if experiment is None or error.status_code not in _ABSENT:
                raise
            answer = self.http.json(
                "GET", self.regional(HISTORY, "experiments", experiment, "runs", run_id, *below), operation=operation
            )
        return answer

    def _read_batch(self, run_ids: Sequence[str], experiment: str | None) -> dict[str, RunState]:
        """Ask in the cheapest way that the service knows; one that it does not know is not tried again."""
        if self._batch_works:
            try:
                return dict(self._batch_run_data(run_ids))
            except AzureMLError as error:
                if error.status_code not in _ABSENT:
                    raise
                self._batch_works = False
        if experiment:
            return dict(self._query(run_ids, experiment))
        self.batch_size = self._largest_batch = 1  # whoever asks by batches asks in the pace of single requests now
        return dict(self._one_by_one(run_ids))

    def _one_by_one(self, run_ids: Sequence[str]) -> Iterator[tuple[str, RunState]]:
        for number, run_id in enumerate(run_ids):
            if number:
                self.http.pause(_PAUSE)
            with contextlib.suppress(NotFoundError):
                yield run_id, self.get(run_id).state

    def _batch_run_data(self, run_ids: Sequence[str]) -> Iterator[tuple[str, RunState]]:
        body = {"requests": {run_id: {"runId": run_id, "selectRunMetadata": True} for run_id in run_ids}}
        answer = self.http.json(
            "POST",
            self.regional(HISTORY, "batchrundata"),
            operation="get many runs",
            params=versions.HISTORY,
            json=body,
            retry="always",
            into=_Batch,
        )
        for run_id, found in (answer.successful_results or {}).items():
            if found.run_metadata:
                yield run_id, found.run_metadata

    def _query(self, run_ids: Sequence[str], experiment: str) -> Iterator[tuple[str, RunState]]:
        body = {"filter": " or ".join(f"RunId eq {run_id}" for run_id in run_ids), "top": len(run_ids)}
        url = self.regional(HISTORY, "experiments", experiment) + "/runs:query"
        for row in self.http.pages("POST", url, operation="query runs", json=body, retry="always"):
            state = msgspec.convert(row, RunState)
            yield state.run_id, state

    def _of_experiment(self, name: str, filter_: str, order_by: str, limit: int | None) -> Iterator[Run]:
        asked = {"filter": filter_} if filter_ else {}
        body = {**asked, "orderBy": order_by, "top": min(limit or _PAGE, _PAGE)}
        url = self.regional(HISTORY, "experiments", name) + "/runs:query"
        rows = self.http.pages("POST", url, operation="query runs", json=body, retry="always")
        return (Run.parse(row) for row in rows if not row.get("hidden"))

    def _rows(self, method: str, url: str, operation: str, filter_: str) -> Iterator[Run]:
        params = {"$top": _PAGE, **({"$filter": filter_} if filter_ else {})}
        rows = self.http.pages(method, url, operation=operation, params=params)
        return (Run.parse(row) for row in rows if not row.get("hidden"))

    def _url(self, run_id: str, experiment: str | None, *below: str) -> str:
        where = ("experiments", experiment) if experiment else ()
        return self.regional(HISTORY, *where, "runs", check_run_id(run_id), *below)
