"""Metrics of runs: the latest values, read in few requests however many steps were logged.

https://learn.microsoft.com/azure/machine-learning/how-to-log-view-metrics
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from airflow_azml.client.resources.experiment import HISTORY
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.transport.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

log = logging.getLogger(__name__)
METRIC, MLFLOW = "metric/v2.0", "mlflow/v1.0"
_SCALAR = "azureml.v1.scalar"
INGESTED_WITHIN = 30.0
"""Seconds at most to wait for metrics that a run has logged before it ended."""
_PENDING = 202


class Metrics(Resource):
    """Read metrics."""

    kind = "metrics"

    def latest(self, run_id: str, names: Collection[str] | None = None, *, most: int | None = None) -> dict[str, Any]:
        """Return the latest value of each metric; all values of a list metric; a dict for a row of several columns.

        :param names: only these; one that the run did not log is None.
        :param most: values of list metrics at most, all together: of longer ones the last are returned.
        """
        kinds = {name: kind for name, kind in self._kinds(run_id) if names is None or name in names}
        scalars = self._scalars(run_id, [name for name, kind in kinds.items() if kind == _SCALAR])
        lists = [name for name, kind in kinds.items() if kind.endswith(".list")]
        each = None if most is None else max(1, most // max(1, len(lists)))
        read = {
            name: scalars[name] if name in scalars else self._read(run_id, name, each, is_list=name in lists)
            for name in kinds
        }
        return {**dict.fromkeys(names or ()), **read}

    def wait_until_ingested(self, run_id: str, experiment: str) -> None:
        """Wait until what a run has logged can be read, or for half a minute: it may lag behind the run's end."""
        deadline = time.monotonic() + INGESTED_WITHIN
        url = self.regional(HISTORY, "experiments", experiment, "runs", run_id, "metricsingest", "wait")
        try:
            while (answer := self.http.request("GET", url, operation="wait for metrics")).status_code == _PENDING:
                if time.monotonic() >= deadline:
                    log.warning("run %s: its metrics may be incomplete, they are still being written", run_id)
                    return
                url = answer.headers.get("Location") or url
                self.http.pause(1.0)
        except AzureMLError as error:  # an older service does not tell
            log.debug("run %s: whether its metrics are complete is not known: %s", run_id, error)

    def _kinds(self, run_id: str) -> Iterator[tuple[str, str]]:
        url = self.regional(METRIC, "runs", run_id, "list")
        for row in self.http.pages("POST", url, operation="list metrics", json={}, retry="always"):
            name = str((row.get("metricKey") or {}).get("name") or row.get("name") or "")
            yield name, str((row.get("properties") or {}).get("uxMetricType") or "")

    def _scalars(self, run_id: str, names: Collection[str]) -> dict[str, Any]:
        """Return the last values of metrics of one number, all in one request; none of those that MLflow lacks."""
        if not names:
            return {}
        url = self.regional(MLFLOW, "api", "2.0", "mlflow", "runs", "get")
        try:
            answer = self.http.json("GET", url, operation="get last metrics", params={"run_id": run_id}, retry="never")
            rows = answer["run"]["data"]["metrics"]
            return {row["key"]: row["value"] for row in rows if row["key"] in names}
        except (AzureMLError, LookupError, TypeError) as error:
            log.debug("run %s: its metrics are read one by one: %r", run_id, error)
            return {}

    def _read(self, run_id: str, name: str, most: int | None, *, is_list: bool) -> Any:
        rows = self._rows(run_id, name)
        if is_list:
            return self._last(run_id, name, map(_value, rows), most)
        # Rows of one metric come in any order; a step is optional, the time is not.
        last = max(rows, key=lambda row: (row.get("step") or 0, str(row.get("createdUtc") or "")), default=None)
        return None if last is None else _value(last)

    def _rows(self, run_id: str, name: str) -> Iterator[dict[str, Any]]:
        url = self.regional(METRIC, "runs", run_id, "full")
        return self.http.pages("POST", url, operation="get metric", json={"metricName": name}, retry="always")

    @staticmethod
    def _last(run_id: str, name: str, values: Iterable[Any], most: int | None) -> list[Any]:
        kept: deque[Any] = deque(maxlen=most)
        count = 0
        for count, value in enumerate(values, start=1):  # noqa: B007 - how many there were is needed afterwards
            kept.append(value)
        if count > len(kept):
            log.warning("run %s: of metric '%s' the last %d of %d values are shown", run_id, name, len(kept), count)
        return list(kept)


def _value(row: Mapping[str, Any]) -> Any:
    data = row.get("data") or {}
    return next(iter(data.values())) if len(data) == 1 else data
