"""Runs: started from a zip and a run definition (v1), read from the run history (v1 runs and v2 jobs alike).

https://learn.microsoft.com/rest/api/azureml/
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.client import versions
from airflow_azml.client.bundle import MultipartStream
from airflow_azml.client.errors import AzureMLError, ConflictError, InvalidRequestError, NotFoundError, Reason
from airflow_azml.client.names import check_experiment_name, check_run_id
from airflow_azml.client.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_azml.client.bundle import Bundle

HISTORY, EXECUTION, METRIC = "history/v1.0", "execution/v1.0", "metric/v2.0"
TERMINAL = frozenset({"completed", "failed", "canceled"})
"""Finalizing is not among them: outputs are still being uploaded."""
_BATCH = 50
"""Runs per request: what Microsoft's own client takes; no limit is published."""
_ABSENT = frozenset({404, 405, 501})
_TAIL_BYTES = 65_536
_READ_BYTES = 4 * 1024 * 1024
# Where the user's own output goes: the common runtime, then the older one, then pipelines and sweeps.
_STREAM_LOGS = tuple(
    re.compile(pattern)
    for pattern in (
        r"user_logs/std_log[\D]*[0]*(?:_ps)?\.txt",
        r"azureml-logs/[\d]{2}.+\.txt",
        r"logs/azureml/executionlogs\.txt",
        r"azureml-logs/hyperdrive\.txt",
    )
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run or job as the run history describes it.

    :param status: the service's word: NotStarted, Queued, Preparing, Running, Finalizing, Completed, Failed, Canceled
        ...
    :param error: the deepest reason of a failure, empty otherwise.
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
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Run:
        """Read the service's JSON."""
        reason = Reason.of(raw["error"]) if raw.get("error") else Reason()
        return cls(
            id=str(raw.get("runId") or ""),
            status=str(raw.get("status") or "Unknown"),
            experiment_id=str(raw.get("experimentId") or ""),
            display_name=str(raw.get("displayName") or raw.get("name") or ""),
            created=str(raw.get("createdUtc") or ""),
            started=str(raw.get("startTimeUtc") or ""),
            ended=str(raw.get("endTimeUtc") or ""),
            tags=raw.get("tags") or {},
            properties=raw.get("properties") or {},
            error=": ".join(part for part in (reason.code, reason.message) if part),
            data_container_id=str(raw.get("dataContainerId") or ""),
            cancel_uri=str(raw.get("cancelUri") or ""),
            raw=raw,
        )

    @property
    def terminal(self) -> bool:
        """Whether its status will not change any more."""
        return self.status.lower() in TERMINAL


class Runs(Service):
    """Start, read and cancel runs. ``experiment`` may be left out: it helps services without workspace-level paths."""

    _batch_works = True

    def start(self, experiment: str, bundle: Bundle, definition: Mapping[str, Any], run_id: str) -> str:
        """Start a run of a project folder and return its id. Safe to repeat: a run of this id that exists is adopted.

        :param bundle: the folder, within its ``with``; it is streamed from disk.
        :param definition: see :func:`airflow_azml.client.definitions.run_definition`.
        :param run_id: chosen by the caller, unique in the workspace.
        """
        check_run_id(run_id)
        self._ensure_experiment(check_experiment_name(experiment))
        body = MultipartStream(
            ("runDefinitionFile", "definition.json", json.dumps(definition).encode()),
            ("projectZipFile", "project.zip", bundle.path),
        )
        url = self.regional(EXECUTION, "experiments", experiment, "startrun")

        def create() -> str:
            answer = self.http.json(
                "POST", url, operation="start run", params={"runId": run_id}, data=body,
                headers={"Content-Type": body.content_type}, retry="never",
            )  # fmt: skip
            return str(answer.get("runId") or run_id)

        return self.once(create, lambda: self._existing(run_id, experiment))

    def get(self, run_id: str, experiment: str | None = None) -> Run:
        """Return a run; NotFoundError when there is none."""
        return Run.parse(self._read(check_run_id(run_id), experiment, operation="get run"))

    def get_many(self, run_ids: Iterable[str], experiment: str | None = None) -> dict[str, Run]:
        """Return many runs in few requests. An id that is missing may still be a run: ask :meth:`get`."""
        wanted = list(dict.fromkeys(run_ids))
        found: dict[str, Run] = {}
        for start in range(0, len(wanted), _BATCH):
            found.update(self._read_batch(wanted[start : start + _BATCH], experiment))
        return found

    def details(self, run_id: str, experiment: str | None = None) -> Mapping[str, Any]:
        """Return a run's details: ``logFiles``, ``error``, ``warnings``, ``runDefinition`` ..."""
        details = self._read(run_id, experiment, "details", operation="get run details")
        for url in (details.get("logFiles") or {}).values():
            self.http.signed(url)
        return details

    def cancel(self, run_id: str, experiment: str | None = None) -> Run:
        """Ask the service to cancel a run; one that has ended is left as it is. Returns the run as it was seen last."""
        run = self.get(run_id, experiment)
        if run.terminal:
            return run
        try:
            self.http.request("POST", self._cancel_url(run, experiment), operation="cancel run", retry="always")
        except (InvalidRequestError, ConflictError):
            run = self.get(run_id, experiment)
            if not run.terminal:  # it did not end while we asked: the refusal is real
                raise
        return run

    def log_files(self, run_id: str, experiment: str | None = None) -> dict[str, str]:
        """Return the run's log files by name, with SAS URLs that expire: ask again for each look."""
        try:
            return dict(self.details(run_id, experiment).get("logFiles") or {})
        except NotFoundError:
            return {}

    def read_log(self, url: str, offset: int = 0, limit: int = _READ_BYTES) -> bytes:
        """Return what a log file has beyond the offset, at most ``limit`` bytes; nothing while it does not exist."""
        headers = {"Range": f"bytes={offset}-{offset + limit - 1}"}
        response = self.http.request(
            "GET",
            self.http.signed(url),
            operation="read log",
            headers=headers,
            auth=None,
            allow=(404, 416),
            timeout=(5, 120),
        )
        if response.status_code in {404, 416}:
            return b""
        content: bytes = response.content
        return content if response.status_code == 206 else content[offset : offset + limit]  # noqa: PLR2004 - 200: it ignored the range

    def tail_log(self, run_id: str, lines: int = 50, experiment: str | None = None) -> list[str]:
        """Return the last lines of the user's own output; empty when there is none."""
        files = self.log_files(run_id, experiment)
        name = stream_log(files)
        if name is None:
            return []
        # Blob storage has no "last N bytes": ask for the size first.
        head = self.http.request("HEAD", files[name], operation="read log", auth=None, allow=(404,))
        size = int(head.headers.get("Content-Length") or 0) if head.ok else 0
        start = max(0, size - _TAIL_BYTES)
        text = self.read_log(files[name], start).decode("utf-8", "replace")
        return text.splitlines()[1 if start else 0 :][-lines:]

    def metrics(self, run_id: str) -> dict[str, Any]:
        """Return the latest value of each metric; all values of a list metric; a dict for a row of several columns."""
        url = self.regional(METRIC, "runs", run_id, "list")
        rows = self.http.pages("POST", url, operation="list metrics", json={}, retry="always")
        names = {_metric_name(row): str((row.get("properties") or {}).get("uxMetricType") or "") for row in rows}
        return {name: self._metric(run_id, name, is_list=kind.endswith(".list")) for name, kind in names.items()}

    def _metric(self, run_id: str, name: str, *, is_list: bool) -> Any:
        url = self.regional(METRIC, "runs", run_id, "full")
        rows = list(self.http.pages("POST", url, operation="get metric", json={"metricName": name}, retry="always"))
        if is_list:
            return [_metric_value(row) for row in rows]
        # Rows of one metric come in any order; a step is optional, the time is not.
        return (
            _metric_value(max(rows, key=lambda row: (row.get("step") or 0, str(row.get("createdUtc") or ""))))
            if rows
            else None
        )

    def _ensure_experiment(self, experiment: str) -> None:
        url = self.regional(HISTORY, "experiments", experiment)
        if self.http.request("GET", url, operation="get experiment", allow=(404,)).status_code == 404:  # noqa: PLR2004 - it is new
            self.http.request("POST", url, operation="create experiment", retry="always")

    def _existing(self, run_id: str, experiment: str) -> str | None:
        try:
            return self.get(run_id, experiment).id
        except NotFoundError:
            return None

    def _read(self, run_id: str, experiment: str | None, *below: str, operation: str) -> dict[str, Any]:
        """GET at workspace level, then below the experiment where a service knows only that."""
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

    def _read_batch(self, run_ids: list[str], experiment: str | None) -> dict[str, Run]:
        """Ask in the cheapest way that the service knows; one that it does not know is not tried again."""
        if self._batch_works:
            try:
                return dict(self._batch_run_data(run_ids))
            except AzureMLError as error:
                if error.status_code not in _ABSENT:
                    raise
                self._batch_works = False
        return dict(self._query(run_ids, experiment) if experiment else self._one_by_one(run_ids))

    def _one_by_one(self, run_ids: list[str]) -> Iterator[tuple[str, Run]]:
        for run_id in run_ids:
            with contextlib.suppress(NotFoundError):
                yield run_id, self.get(run_id)

    def _batch_run_data(self, run_ids: list[str]) -> Iterator[tuple[str, Run]]:
        body = {"requests": {run_id: {"runId": run_id, "selectRunMetadata": True} for run_id in run_ids}}
        answer = self.http.json(
            "POST",
            self.regional(HISTORY, "batchrundata"),
            operation="get many runs",
            params=versions.HISTORY,
            json=body,
            retry="always",
        )
        for run_id, result in (answer.get("successfulResults") or {}).items():
            yield run_id, Run.parse(result.get("runMetadata") or {})

    def _query(self, run_ids: list[str], experiment: str) -> Iterator[tuple[str, Run]]:
        body = {"filter": " or ".join(f"RunId eq {run_id}" for run_id in run_ids), "top": len(run_ids)}
        url = self.regional(HISTORY, "experiments", experiment) + "/runs:query"
        for row in self.http.pages("POST", url, operation="query runs", json=body, retry="always"):
            run = Run.parse(row)
            yield run.id, run

    def _cancel_url(self, run: Run, experiment: str | None) -> str:
        if run.cancel_uri and self.http.cloud.trusts(run.cancel_uri):
            return run.cancel_uri
        if experiment is None:
            found = self.http.json(
                "GET", self.regional(HISTORY, "experimentids", run.experiment_id), operation="get experiment"
            )
            experiment = str(found["name"])
        return self.regional(EXECUTION, "experiments", experiment, "runId", run.id, "cancel")


def stream_log(names: Iterable[str]) -> str | None:
    """Return which of a run's log files is the user's own output."""
    every = sorted(names)
    for pattern in _STREAM_LOGS:
        matching = [name for name in every if pattern.match(name)]
        if matching:
            first = [name for name in matching if "rank_0" in name or "worker_0" in name]
            return (first or matching)[-1]
    return None


def _metric_name(row: Mapping[str, Any]) -> str:
    return str((row.get("metricKey") or {}).get("name") or row.get("name") or "")


def _metric_value(row: Mapping[str, Any]) -> Any:
    data = row.get("data") or {}
    return next(iter(data.values())) if len(data) == 1 else data
