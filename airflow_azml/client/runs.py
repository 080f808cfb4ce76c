"""Runs: started from a zip or a snapshot and a run definition (v1), cancelled; their logs and metrics.

https://learn.microsoft.com/rest/api/azureml/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_azml.client.files.bodies import MultipartStream
from airflow_azml.client.history import RunHistory
from airflow_azml.client.names import check_experiment_name, check_run_id
from airflow_azml.client.transport.errors import ConflictError, InvalidRequestError, NotFoundError
from airflow_azml.client.transport.plain_json import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_azml.client.files.bundle import Bundle
    from airflow_azml.client.history import Run
    from airflow_azml.client.transport.retries import Retry

EXECUTION, METRIC = "execution/v1.0", "metric/v2.0"
_TAIL_BYTES = 65_536
_READ_BYTES = 4 * 1024 * 1024
USER_LOGS = "user_logs/"
# Where the user's own output goes: the common runtime, then the older one, then pipelines and sweeps.
_STREAM_LOGS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{USER_LOGS}std_log[\D]*[0]*(?:_ps)?\.txt",
        r"azureml-logs/[\d]{2}.+\.txt",
        r"logs/azureml/executionlogs\.txt",
        r"azureml-logs/hyperdrive\.txt",
    )
)


class Runs(RunHistory):
    """Start, read and cancel runs. ``experiment`` may be left out: it helps services without workspace-level paths."""

    def start(self, experiment: str, bundle: Bundle, definition: Mapping[str, Any], run_id: str) -> str:
        """Start a run of a project folder and return its id. Safe to repeat: a run of this id that exists is adopted.

        :param bundle: the folder, within its ``with``; it is streamed from disk.
        :param definition: see :func:`airflow_azml.client.definitions.run_definition`.
        :param run_id: chosen by the caller, unique in the workspace.
        """
        body = MultipartStream(
            ("runDefinitionFile", "definition.json", encode(definition, "definition")),
            ("projectZipFile", "project.zip", bundle.path),
        )
        headers = {"Content-Type": body.content_type}
        return self._start(experiment, "startrun", run_id, data=body, headers=headers)

    def start_snapshot(self, experiment: str, snapshot_id: str, definition: Mapping[str, Any], run_id: str) -> str:
        """Start a run of a folder that the workspace has already. Safe to repeat, as :meth:`start` is.

        :param snapshot_id: see :meth:`airflow_azml.client.snapshots.Snapshots.upload`.
        """
        body = {**definition, "snapshotId": snapshot_id}
        return self._start(experiment, "snapshotrun", run_id, json=body)

    def cancel(self, run_id: str, experiment: str | None = None, *, check: Callable[[Run], None] | None = None) -> Run:
        """Ask the service to cancel a run; one that has ended is left as it is. Returns the run as it was seen last.

        :param check: raises when the run must not be cancelled; called with the run before it is.
        """
        run = self.get(run_id, experiment)
        if check:
            check(run)
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

    def read_log(
        self,
        url: str,
        offset: int = 0,
        limit: int = _READ_BYTES,
        *,
        retry: Retry = "auto",
        timeout: tuple[float, float] = (5, 120),
    ) -> bytes:
        """Return what a log file has beyond the offset, at most ``limit`` bytes; nothing while it does not exist."""
        response = self.http.request(
            "GET",
            self.http.signed(url),
            operation="read log",
            headers={"Range": f"bytes={offset}-{offset + limit - 1}"},
            auth=None,
            allow=(404, 416),
            retry=retry,
            timeout=timeout,
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

    def _start(self, experiment: str, verb: str, run_id: str, **content: Any) -> str:
        check_run_id(run_id)
        self._experiments.create(check_experiment_name(experiment))
        url = self.regional(EXECUTION, "experiments", experiment, verb)

        def create() -> str:
            answer = self.http.json(
                "POST", url, operation="start run", params={"runId": run_id}, retry="never", **content
            )
            return str(answer.get("runId") or run_id)

        return self.once(create, lambda: self._existing(run_id, experiment))

    def _existing(self, run_id: str, experiment: str) -> str | None:
        try:
            return self.get(run_id, experiment).id
        except NotFoundError:
            return None

    def _cancel_url(self, run: Run, experiment: str | None) -> str:
        if run.cancel_uri and self.http.cloud.trusts(run.cancel_uri):
            return run.cancel_uri
        if experiment is None:
            experiment = self._experiments.by_id(run.experiment_id).name
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
