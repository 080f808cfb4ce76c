"""The metrics of runs: rows of named values, each written once, whichever of the three services brings them.

The metric service (v2.0), the run history (the specification of 2019) and MLflow see the same documents: one for each
post, with its rows in `cells`. A post that is repeated with its id, as clients do after a lost answer, counts once.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import odata
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.wire import pick, pick_object, pick_text, pick_texts
from airflow_azml.emulator.metrics.model import METRIC
from airflow_azml.emulator.runs.history import now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_azml.emulator.kernel.store import Document, Store

SCALAR = "azureml.v1.scalar"


class Metrics:
    """The metrics of the workspace's runs.

    :param store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, run_id: str, metrics: Iterable[Document]) -> None:
        """Write metrics of a run; one whose id is known already is left as it is."""
        with self._store.transaction():
            for metric in metrics:
                ordinal = self._store.next_number(METRIC)
                self._store.add(
                    METRIC, f"{run_id}/{metric['metricId']}", {**metric, "runId": run_id, "ordinal": ordinal}
                )

    def of_run(self, run_id: str) -> list[Document]:
        """Return what a run logged, in the order in which it arrived."""
        return sorted(self._store.all(METRIC, f"{run_id}/"), key=lambda metric: int(metric["ordinal"]))

    def by_name(self, run_id: str) -> dict[str, list[Document]]:
        """Return the same by the metric's name, the names in the order in which they came up."""
        found: dict[str, list[Document]] = {}
        for metric in self.of_run(run_id):
            found.setdefault(metric["name"], []).append(metric)
        return found

    def named(self, run_id: str, name: str) -> list[Document]:
        """Return what a run logged under a name; the 404 of the service when that is nothing."""
        found = self.by_name(run_id).get(name)
        if not found:
            raise Fault(404, "MetricNotFound", f"Run {run_id} has no metric '{name}'.", target=name)
        return found


def scalar(name: str, value: Any, created: str | None, step: int) -> Document:
    """Return the metric of one number."""
    return _metric(name, SCALAR, {name: "double"}, [{name: value}], None, created, step)


def read_v2(body: Any) -> list[Document]:
    """Read a `MetricV2` of a batch: rows under one name, each a metric of its own."""
    name, columns = pick_text(body, "name"), pick_texts(body, "columns")
    kind = pick_text(body, "properties", "uxMetricType", default=SCALAR)
    return [
        _metric(
            name,
            kind,
            columns,
            [pick_object(row, "data")],
            pick(row, "metricId"),
            pick(row, "createdUtc"),
            pick(row, "step"),
        )
        for row in _listed(body, "value")
    ]


def read_2019(body: Any) -> Document:
    """Read a `Metric` of the run history: all its cells are one metric."""
    columns = {
        pick_text(one, "propertyId"): pick_text(one, "type") for one in _listed(pick(body, "schema"), "properties")
    }
    cells = _listed(body, "cells")
    if not all(isinstance(cell, dict) for cell in cells):
        raise bad_request("'cells' must be objects.", target="cells")
    kind = pick_text(body, "metricType", default=SCALAR)
    metric = _metric(
        pick_text(body, "name"), kind, columns, cells, pick(body, "metricId"), pick(body, "createdUtc"), None
    )
    texts = {name: pick(body, name) for name in ("description", "label", "dataLocation")}
    return {**metric, **{name: value for name, value in texts.items() if isinstance(value, str)}}


def definition_json(metric: Document) -> dict[str, Any]:
    """Render what is known of a metric without its values."""
    return {
        "metricKey": {"namespace": "", "name": metric["name"]},
        "columns": metric["columns"],
        "properties": {"uxMetricType": metric["metricType"]},
    }


def rows_json(metrics: list[Document]) -> list[dict[str, Any]]:
    """Render the rows of a metric as values of the metric service."""
    return [
        {"metricId": metric["metricId"], "createdUtc": metric["createdUtc"], "step": metric["step"], "data": cell}
        for metric in metrics
        for cell in metric["cells"]
    ]


def run_metric_json(metric: Document, container: str) -> dict[str, Any]:
    """Render a metric as `RunMetric` of the run history."""
    columns = [{"propertyId": name, "name": name, "type": kind} for name, kind in metric["columns"].items()]
    same = ("runId", "metricId", "metricType", "createdUtc", "name", "cells", "description", "label", "dataLocation")
    return {
        **{name: metric[name] for name in same if name in metric},
        "dataContainerId": container,
        "numCells": len(metric["cells"]),
        "schema": {"numProperties": len(columns), "properties": columns},
    }


def _metric(
    name: str, kind: str, columns: dict[str, str], cells: list[Any], metric_id: Any, created: Any, step: Any
) -> Document:
    if created is not None and (not isinstance(created, str) or odata.moment(created) is None):
        raise bad_request(f"'{created}' is not a time.", target="createdUtc")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise bad_request(f"The step '{step}' is not a whole number.", target="step")
    return {
        "metricId": metric_id if isinstance(metric_id, str) and metric_id else str(uuid.uuid4()),
        "name": name,
        "metricType": kind,
        "columns": columns or {name: "double"},
        "cells": cells,
        "createdUtc": created or now(),
        "step": step,
    }


def _listed(body: Any, name: str) -> list[Any]:
    value = pick(body, name, default=[])
    if not isinstance(value, list):
        raise bad_request(f"'{name}' must be a list.", target=name)
    return value
