"""Reading the run history: one run with all that is known of it, or how thousands of runs are in few requests.

https://learn.microsoft.com/rest/api/azureml/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_azml.client import api_versions
from airflow_azml.client.lifecycle import Phase, Statuses, unix_time
from airflow_azml.client.names import check_run_id
from airflow_azml.client.resources.experiment import HISTORY
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Value
from airflow_azml.client.transport.errors import AzureMLError, InvalidRequestError, NotFoundError
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

log = logging.getLogger(__name__)
# Only Completed, Failed and Canceled are ends. Finalizing still uploads outputs; NotResponding and Paused can come
# back. https://learn.microsoft.com/rest/api/azureml (run history, RunStatus)
STATUSES: Statuses = {
    "notstarted": Phase.PENDING,
    "unapproved": Phase.PENDING,
    "queued": Phase.PENDING,
    "provisioning": Phase.PENDING,
    "starting": Phase.PENDING,
    "preparing": Phase.PENDING,
    "running": Phase.ACTIVE,
    "pausing": Phase.ACTIVE,
    "paused": Phase.ACTIVE,
    "notresponding": Phase.ACTIVE,
    "cancelrequested": Phase.CANCELING,
    "finalizing": Phase.ACTIVE,
    "unknown": Phase.ACTIVE,
    "completed": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    "canceled": Phase.CANCELED,
    "cancelled": Phase.CANCELED,
}
_BATCH, _LARGEST_BATCH = 100, 500
"""Runs per request: what Microsoft's own client takes; no limit is published."""
_PAUSE = 0.1
"""Seconds between two single requests where one for many was wanted."""
_WITHOUT_BATCHES = 60.0
"""Seconds for which nobody asks for many runs at once after the service did not know such a request."""
_ABSENT = frozenset({404, 405, 501})


class Run(Value, frozen=True):
    """A run or job as the run history describes it.

    :param status: the service's word: NotStarted, Queued, Preparing, Running, Finalizing, Completed, Failed, Canceled
        ...
    :param target: the compute that it was sent to.
    :param created: in ISO 8601, as `started` and `ended`, which are empty as long as it has not.
    :param failure: what the service says about a failure; see `error` and `reason`.
    :param data_container_id: where its outputs are; empty while it has none.
    """

    id: str = msgspec.field(default="", name="runId")
    status: str = "Unknown"
    experiment_id: str = ""
    name: str = ""
    display_name: str = ""
    target: str = ""
    created: str = msgspec.field(default="", name="createdUtc")
    started: str = msgspec.field(default="", name="startTimeUtc")
    ended: str = msgspec.field(default="", name="endTimeUtc")
    tags: Mapping[str, str] = {}
    properties: Mapping[str, str] = {}
    failure: Any = msgspec.field(default=None, name="error")
    queueing_info: Mapping[str, Any] = {}
    data_container_id: str = ""
    cancel_uri: str = ""
    hidden: bool = False

    @property
    def phase(self) -> Phase:
        """What its status means."""
        return STATUSES.get(self.status.casefold(), Phase.ACTIVE)

    @property
    def reason(self) -> Reason:
        """Why it failed, with codes, request id and cause; empty otherwise."""
        return Reason.of(self.failure) if self.failure else Reason()

    @property
    def error(self) -> str:
        """Why it failed: the deepest reason; empty otherwise."""
        return self.reason.text

    @property
    def detail(self) -> str:
        """Why it failed, or what it still waits for."""
        return self.error or str(self.queueing_info.get("message") or "")

    @property
    def duration(self) -> float | None:
        """Seconds for which it ran, or has been running until now; None while it has not begun."""
        began = unix_time(self.started)
        return None if began is None else max((unix_time(self.ended) or time.time()) - began, 0.0)


class RunState(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """How a run is: what a wait needs to know of it. Of thousands of runs nothing else is decoded.

    It is a tree without cycles, so the garbage collector has nothing to find in it.

    :param started: when it began to run, in the service's format; None while it has not.
    :param queueing_info: what a queued run waits for, where the service tells.
    """

    run_id: str | None = None
    status: str | None = None
    failure: Any = msgspec.field(default=None, name="error")
    started: Any = msgspec.field(default=None, name="startTimeUtc")
    queueing_info: Any = None

    @property
    def phase(self) -> Phase:
        """What its status means."""
        return STATUSES.get((self.status or "").casefold(), Phase.ACTIVE)

    @property
    def detail(self) -> str:
        """The deepest reason of a failure, or what it still waits for."""
        if self.failure:
            return Reason.of(self.failure).text
        return str((self.queueing_info or {}).get("message") or "")


class _Found(msgspec.Struct, rename="camel", gc=False):
    run_metadata: RunState | None = None


class _Batch(msgspec.Struct, rename="camel"):
    successful_results: dict[str, msgspec.Raw] | None = None


_row = msgspec.json.Decoder(_Found)


class RunHistory(Resource):
    """Read runs. ``experiment`` may be left out: it helps services without workspace-level paths."""

    kind = "runs"
    statuses = STATUSES
    batches = True
    _batch = _BATCH
    _largest_batch = _LARGEST_BATCH
    _batches_from = 0.0  # monotonic time

    @property
    def batch_size(self) -> int:
        """Runs per request of :meth:`get_many`. No limit is published: it grows while the service accepts it."""
        return self._batch if self._batches_work else 1

    def get_many(self, run_ids: Iterable[str], experiment: str | None = None) -> dict[str, RunState]:
        """Return how many runs are, in few requests. An id that is missing may still be a run: ask for it alone."""
        wanted = list(dict.fromkeys(run_ids))
        found: dict[str, RunState] = {}
        while wanted:
            some = wanted[: self._batch]
            try:
                found.update(self._read_batch(some, experiment))
            except InvalidRequestError:
                if len(some) == 1:
                    raise
                self._batch = self._largest_batch = len(some) // 2
                continue
            del wanted[: len(some)]
            if len(some) == self._batch:
                self._batch = min(2 * self._batch, self._largest_batch)
        return found

    def details(self, run_id: str, experiment: str | None = None) -> dict[str, Any]:
        """Return a run's details: ``logFiles``, ``error``, ``warnings``, ``runDefinition`` ..."""
        details = self.read_run(run_id, experiment, "details", operation="get run details")
        for url in (details.get("logFiles") or {}).values():
            self.http.signed(url)
        return details

    def read_run(self, run_id: str, experiment: str | None, *below: str, operation: str = "get run") -> dict[str, Any]:
        """GET at workspace level, then below the experiment where a service knows only that."""
        check_run_id(run_id)
        try:
            answer: dict[str, Any] = self.http.json(
                "GET", self.regional(HISTORY, "runs", run_id, *below), operation=operation, params=api_versions.HISTORY
            )
        except AzureMLError as error:
            if experiment is None or error.status_code not in _ABSENT:
                raise
            answer = self.http.json("GET", self.run_url(run_id, experiment, *below), operation=operation)
        return answer

    def run_url(self, run_id: str, experiment: str | None, *below: str) -> str:
        """Return the address of a run, below its experiment if that is known."""
        where = ("experiments", experiment) if experiment else ()
        return self.regional(HISTORY, *where, "runs", check_run_id(run_id), *below)

    @property
    def _batches_work(self) -> bool:
        return time.monotonic() >= self._batches_from

    def _read_batch(self, run_ids: Sequence[str], experiment: str | None) -> dict[str, RunState]:
        """Ask in the cheapest way that the service knows. One that it does not know is tried again after a while."""
        if self._batches_work:
            try:
                return dict(self._batch_run_data(run_ids))
            except AzureMLError as error:
                if error.status_code not in _ABSENT:
                    raise
                log.debug("the service does not know how to tell about many runs at once: %s", error)
                self._batches_from = time.monotonic() + _WITHOUT_BATCHES
        return dict(self._query(run_ids, experiment) if experiment else self._one_by_one(run_ids))

    def _one_by_one(self, run_ids: Sequence[str]) -> Iterator[tuple[str, RunState]]:
        for number, run_id in enumerate(run_ids):
            if number:
                self.http.pause(_PAUSE)
            with suppress(NotFoundError, msgspec.ValidationError):
                yield run_id, msgspec.convert(self.read_run(run_id, None), RunState)

    def _batch_run_data(self, run_ids: Sequence[str]) -> Iterator[tuple[str, RunState]]:
        body = {"requests": {run_id: {"runId": run_id, "selectRunMetadata": True} for run_id in run_ids}}
        url = self.regional(HISTORY, "batchrundata")
        answer = self.http.json(
            "POST", url, operation="get many runs", params=api_versions.HISTORY, json=body, retry="always", into=_Batch
        )
        for run_id, row in (answer.successful_results or {}).items():
            with suppress(msgspec.DecodeError):  # an odd row concerns its run only, which is asked for alone then
                if state := _row.decode(row).run_metadata:
                    yield run_id, state

    def _query(self, run_ids: Sequence[str], experiment: str) -> Iterator[tuple[str, RunState]]:
        body = {"filter": " or ".join(f"RunId eq {run_id}" for run_id in run_ids), "top": len(run_ids)}
        url = self.regional(HISTORY, "experiments", experiment) + "/runs:query"
        for row in self.http.pages("POST", url, operation="query runs", json=body, retry="always"):
            with suppress(msgspec.ValidationError):
                state = msgspec.convert(row, RunState)
                if state.run_id:
                    yield state.run_id, state
