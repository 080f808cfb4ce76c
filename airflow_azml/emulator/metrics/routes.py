"""Metrics of runs: the metric service, and the run history's older routes for the same metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from airflow_azml.emulator.http import faults, history_query, odata
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.limits import read_body
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonObject, pick, pick_text, read_json, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.metrics import engine
from airflow_azml.emulator.metrics.engine import Metrics
from airflow_azml.emulator.runs.history import Runs

routes = router("/metric/v2.0" + WORKSPACE_PATH + "/runs/{run_id}", REGIONAL)
history = router("/history/v1.0" + WORKSPACE_PATH + "/experiments/{experiment}", REGIONAL)
PAGE_SIZE, SAMPLE_SIZE = 5000, 1000
FIELDS = (
    "metricId", "runId", "dataContainerId", "metricType", "createdUtc", "name", "description", "label", "numCells",
    "dataLocation", "cells", "schema",
)  # fmt: skip


async def _run(runs: Engine[Runs], request: Request) -> Document:
    return runs.get(request.path_params["run_id"], request.path_params.get("experiment"))


async def _metric_body(request: Request) -> dict[str, Any]:
    """Read a body in which numbers may be NaN or infinite, as the service does: they are kept as text."""
    body = read_json(await read_body(request) or b"{}", "The request body", constant=str)
    if not isinstance(body, dict):
        raise bad_request("The request body must be a JSON object.", code="InvalidJson")
    return body


Run = Annotated[Document, Depends(_run)]
MetricBody = Annotated[dict[str, Any], Depends(_metric_body)]


@routes.post("/list")
def list_metrics(metrics: Engine[Metrics], run: Run) -> dict[str, Any]:
    """Name the run's metrics; there are never so many that they need pages."""
    found = metrics.by_name(run["runId"])
    return {"value": [engine.definition_json(rows[0]) for rows in found.values()]}


@routes.post("/full")
def get_full(metrics: Engine[Metrics], run: Run, body: JsonObject) -> dict[str, Any]:
    """Return every value of a metric, in pages."""
    found = metrics.named(run["runId"], pick_text(body, "metricName"))
    rows = _within(engine.rows_json(found), body)
    start = _start(pick_text(body, "continuationToken", default="0"))
    more = start + PAGE_SIZE < len(rows)
    page = rows[start : start + PAGE_SIZE]
    return {**_values(run, found, page), **({"continuationToken": str(start + PAGE_SIZE)} if more else {})}


@routes.post("/sample")
def get_sample(metrics: Engine[Metrics], run: Run, body: JsonObject) -> dict[str, Any]:
    """Return values of a metric that are evenly apart, the first and the last among them."""
    found = metrics.named(run["runId"], pick_text(body, "metricName"))
    rows = _within(engine.rows_json(found), body)
    apart = max(1, -(-(len(rows) - 1) // (SAMPLE_SIZE - 1)))
    return _values(run, found, [*rows[:-1:apart], *rows[-1:]])


@routes.post("/batch")
def post_batch(metrics: Engine[Metrics], run: Run, body: MetricBody) -> dict[str, Any]:
    """Take metrics; those that cannot be read are handed back with the reason."""
    errors = []
    for item in _values_of(body):
        try:
            metrics.add(run["runId"], engine.read_v2(item))
        except Fault as fault:
            errors.append({"metric": item, "errorResponse": faults.item_envelope(fault)})
    return {"errors": errors}


@history.get("/runs/{run_id}/metricsingest/wait")
def wait_for_ingestion(run: Run) -> None:
    """Answer that all metrics have arrived: here a metric has when its post was answered."""
    del run


@history.post("/runs/{run_id}/metrics")
def post_metric(metrics: Engine[Metrics], run: Run, body: MetricBody) -> None:
    """RunMetrics_Post."""
    metrics.add(run["runId"], [engine.read_2019(body)])


@history.post("/runs/{run_id}/batch/metrics")
def post_metrics(metrics: Engine[Metrics], run: Run, body: MetricBody) -> None:
    """RunMetrics_BatchPost: all or none."""
    metrics.add(run["runId"], [engine.read_2019(item) for item in _values_of(body)])


@history.get("/metrics/{metric_id}")
def get_metric(runs: Engine[Runs], metrics: Engine[Metrics], experiment: str, metric_id: str) -> dict[str, Any]:
    """RunMetrics_Get."""
    for metric in _all(runs, metrics, experiment):
        if metric["metricId"].casefold() == metric_id.casefold():
            return metric
    raise faults.not_found("Metric", metric_id)


@history.api_route("/metrics:query", methods=["POST", "GET"])
def query_metrics(
    runs: Engine[Runs], metrics: Engine[Metrics], base: Base, experiment: str, request: Request, body: JsonObject
) -> dict[str, Any]:
    """RunMetrics_GetByQuery; GET answers the `nextLink` of such a query."""
    query = history_query.read({"orderBy": "createdUtc asc", **request.query_params, **body})
    page, token = query.select(_all(runs, metrics, experiment), "metricId", FIELDS)
    return {"value": page, **query.links(token, base + request.url.path)}


def _all(runs: Runs, metrics: Metrics, experiment: str) -> list[dict[str, Any]]:
    found = runs.all(runs.experiment(experiment)["name"])
    return [
        engine.run_metric_json(metric, run["dataContainerId"])
        for run in found
        for metric in metrics.of_run(run["runId"])
    ]


def _values(run: Document, found: list[Document], rows: list[dict[str, Any]]) -> dict[str, Any]:
    definition = engine.definition_json(found[0])
    columns: dict[str, str] = {}
    for metric in found:
        columns |= metric["columns"]
    return {
        "dataContainerId": run["dataContainerId"],
        "name": found[0]["name"],
        "columns": columns,
        "properties": definition["properties"],
        "value": rows,
    }


def _within(rows: list[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that were written between `startTime` and `endTime`."""
    bounds = {name: pick(body, name) and odata.moment(pick_text(body, name)) for name in ("startTime", "endTime")}
    return [row for row in rows if _fits(odata.moment(row["createdUtc"]), bounds["startTime"], bounds["endTime"])]


def _fits(moment: Any, start: Any, end: Any) -> bool:
    return not (start and moment < start) and not (end and moment > end)


def _start(token: str) -> int:
    if not (token.isascii() and token.isdigit()):
        raise bad_request("The continuation token is not valid.", target="continuationToken")
    return int(token[:18])


def _values_of(body: dict[str, Any]) -> list[Any]:
    values = pick(body, "values", default=[])
    if not isinstance(values, list):
        raise bad_request("'values' must be a list.", target="values")
    return values
