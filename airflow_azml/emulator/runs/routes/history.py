"""The run history: experiments, runs one by one, many at once, by query; their tags, events and details.

A run is addressed through its experiment's name, through its experiment's id, or by itself: `SCOPES`. Runs that the
executor works on are changed by it alone; what clients report of other runs is taken over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from airflow_azml.emulator.http import faults, history_query
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.wire import (
    WORKSPACE_PATH,
    FoldedQuery,
    JsonBody,
    JsonObject,
    pick,
    pick_object,
    pick_text,
    router,
)
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.runs.bodies import details_json, run_json
from airflow_azml.emulator.runs.executor import Executor
from airflow_azml.emulator.runs.history import Runs, not_found
from airflow_azml.emulator.storage.blobs import BlobStore

SCOPES = ("/experiments/{experiment}", "/experimentids/{experiment_id}", "")
MAX_BATCH = 10_000  # runs in one call
FIELDS = (
    "runId", "runNumber", "runUuid", "rootRunId", "rootRunUuid", "parentRunId", "parentRunUuid", "experimentId",
    "experimentName", "status", "statusRevision", "revision", "createdUtc", "startTimeUtc", "endTimeUtc",
    "effectiveStartTimeUtc", "lastStartTimeUtc", "lastModifiedUtc", "createdBy", "lastModifiedBy", "userId", "name",
    "displayName", "description", "hidden", "runType", "runTypeV2", "scriptName", "target", "tags", "properties",
    "dataContainerId", "cancelationReason", "duration", "computeDuration", "primaryMetricName", "scheduleId", "error",
    "warnings", "options", "createdFrom", "inputs", "outputs",
)  # fmt: skip

routes = router("/history/v1.0" + WORKSPACE_PATH, REGIONAL)


def scoped(path: str, *methods: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Offer a handler below every scope."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for scope in SCOPES:
            routes.add_api_route(scope + path, handler, methods=list(methods), name=f"{handler.__name__}{scope}")
        return handler

    return register


async def _experiment(runs: Engine[Runs], request: Request) -> str | None:
    """Return the name of the experiment in the path; None at workspace level."""
    if experiment_id := request.path_params.get("experiment_id"):
        return str(runs.experiment_by_id(experiment_id)["name"])
    return request.path_params.get("experiment")


Experiment = Annotated[str | None, Depends(_experiment)]


async def _run(run_id: str, runs: Engine[Runs], experiment: Experiment) -> Document:
    return runs.get(run_id, experiment)


Run = Annotated[Document, Depends(_run)]


async def _query(request: Request, body: JsonObject) -> history_query.Query:
    """Read the query from the URL and, where there is one, from the body."""
    return history_query.read({**request.query_params, **body})


Queried = Annotated[history_query.Query, Depends(_query)]


# One run.


@scoped("/runs/{run_id}", "GET")
async def get_run(run: Run, base: Base) -> dict[str, Any]:
    """Return a run."""
    return run_json(run, base)


@scoped("/runs/{run_id}", "PATCH")
def patch_run(run_id: str, runs: Engine[Runs], experiment: Experiment, body: JsonObject, base: Base) -> dict[str, Any]:
    """Change a run; an unknown one is created, which is how the SDK starts interactive runs."""
    return run_json(runs.put(experiment, run_id, _create_run(run_id, body)), base)


@scoped("/runs/{run_id}/details", "GET")
def get_details(run: Run, runs: Engine[Runs], blobs: Engine[BlobStore], base: Base) -> dict[str, Any]:
    """Return a run's details: definition, log files, error, warnings."""
    return details_json(run, runs.definition(run), blobs, base)


@scoped("/runs/{run_id}/children", "GET")
def get_children(run: Run, runs: Engine[Runs], query: Queried, base: Base, request: Request) -> dict[str, Any]:
    """Return the runs whose parent this one is."""
    children = [child for child in runs.all() if child.get("parentRunId") == run["runId"]]
    return _page(children, query, base, request)


@scoped("/runs/{run_id}/tags", "DELETE")
def delete_tags(run: Run, runs: Engine[Runs], body: JsonBody, base: Base) -> dict[str, Any]:
    """Remove tags by their names."""
    names = body if isinstance(body, list) else pick(body, "tags", default=[])
    if not isinstance(names, list):
        raise bad_request("'tags' must be a list of names.", target="tags")
    with runs.changing(run["runId"]) as changed:
        changed["tags"] = {name: value for name, value in changed["tags"].items() if name not in names}
    return run_json(changed, base)


@scoped("/runs/{run_id}/cancel", "POST")
def cancel_run(
    run: Run, executor: Engine[Executor], runs: Engine[Runs], base: Base, query: FoldedQuery
) -> dict[str, Any]:
    """Cancel a run."""
    executor.cancel(run["runId"], query.get("cancelationreason", ""))
    return run_json(runs.get(run["runId"]), base)


@scoped("/runs/{run_id}/events", "POST")
def post_event(run: Run, runs: Engine[Runs], body: JsonObject) -> None:
    """Take an event of a run."""
    _take_event(runs, run, body)


@routes.post("/experiments/{experiment}/batch/events")
def post_events(experiment: str, runs: Engine[Runs], body: JsonObject) -> dict[str, Any]:
    """Take many events, each of which names its run; those that fail are handed back with the reason."""
    errors = []
    for event in _items(body, "events"):
        try:
            run_id = pick_text(event, "data", "runId")
            _take_event(runs, runs.get(run_id, experiment), event)
        except Fault as fault:
            errors.append({"key": event, "value": _failure(fault)})
    return {"errors": errors}


# Many runs.


@scoped("/runs:query", "POST", "GET")
def query_runs(
    runs: Engine[Runs], experiment: Experiment, query: Queried, base: Base, request: Request
) -> dict[str, Any]:
    """Return the runs (of the experiment) that match a filter; GET answers the `nextLink` of such a query."""
    found = runs.all(runs.experiment(experiment)["name"] if experiment else None)
    return _page(found, query, base, request)


@routes.get("/computes/{compute}/runs")
def runs_of_compute(compute: str, runs: Engine[Runs], query: Queried, base: Base, request: Request) -> dict[str, Any]:
    """Return the runs that were sent to a compute, of all experiments."""
    found = [run for run in runs.all() if run.get("target", "").casefold() == compute.casefold()]
    return _page(found, query, base, request)


@scoped("/runs/runIds", "POST")
def runs_by_ids(runs: Engine[Runs], experiment: Experiment, body: JsonObject, base: Base) -> dict[str, Any]:
    """Return many runs by their ids; what is not there is named under `errors`."""
    run_ids = _ids(pick(body, "runIds", default=[]))
    found = {
        run_id: run
        for run_id, run in runs.many(run_ids).items()
        if experiment is None or run["experimentName"].casefold() == experiment.casefold()
    }
    errors = {run_id: _failure(not_found(run_id)) for run_id in run_ids if run_id not in found}
    return {"runs": {run_id: run_json(run, base) for run_id, run in found.items()}, "errors": errors}


@routes.post("/batchrundata")
def batch_run_data(runs: Engine[Runs], body: JsonObject, base: Base) -> dict[str, Any]:
    """Answer many requests for run data, each under the key that the caller gave it."""
    requests = pick_object(body, "requests")
    run_ids = {key: pick_text(request, "runId") for key, request in requests.items()}
    found = runs.many(_ids(list(run_ids.values())))
    by_key = {key: found.get(run_id) for key, run_id in run_ids.items()}
    return {
        "successfulResults": {key: _data(runs, run, requests[key], base) for key, run in by_key.items() if run},
        "failedResults": {key: _failure(not_found(run_ids[key])) for key, run in by_key.items() if not run},
    }


@routes.post("/rundata")
def run_data(runs: Engine[Runs], body: JsonObject, base: Base) -> dict[str, Any]:
    """Answer one such request."""
    return _data(runs, runs.get(pick_text(body, "runId")), body, base)


@routes.patch("/experiments/{experiment}/batch/runs")
def patch_runs(experiment: str, runs: Engine[Runs], body: JsonObject, base: Base) -> dict[str, Any]:
    """Change (or create) many runs; those that cannot be are named under `errors`."""
    patched, errors = {}, {}
    for changes in _items(body, "runs"):
        run_id = pick_text(changes, "runId")
        try:
            patched[run_id] = run_json(runs.put(experiment, run_id, _create_run(run_id, changes)), base)
        except Fault as fault:
            errors[run_id] = _failure(fault)
    return {"runs": patched, "errors": errors}


# What they share.


def _page(runs: list[Document], query: history_query.Query, base: str, request: Request) -> dict[str, Any]:
    page, token = query.select(runs, "runId", FIELDS)
    body: dict[str, Any] = {"value": [run_json(run, base) for run in page]}
    return {**body, **query.links(token, base + request.url.path)}


def _create_run(run_id: str, body: Document) -> Document:
    """Read a `CreateRun`: names in any case, each of its kind."""
    if (named := pick_text(body, "runId", default=run_id)) != run_id:
        raise bad_request(f"The body is of run '{named}', the path of run '{run_id}'.", target="runId")
    texts = ("name", "displayName", "description", "runType", "parentRunId", "scriptName", "target", "status")
    changes: Document = {name: pick_text(body, name) for name in texts if pick(body, name) is not None}
    for name in ("tags", "properties"):
        values = pick_object(body, name)  # the SDK tags with numbers and with nothing at all
        changes[name] = {key: "" if value is None else str(value) for key, value in values.items()}
    if isinstance(hidden := pick(body, "hidden"), bool):
        changes["hidden"] = hidden
    return changes


EVENT = "microsoft.machinelearning.run."
STATUS_OF_EVENT = {
    "start": "Running",
    "queued": "Queued",
    "completed": "Completed",
    "failed": "Failed",
    "canceled": "Canceled",
    "cancelrequested": "CancelRequested",
}


def _take_event(runs: Runs, run: Document, event: Document) -> None:
    name = pick_text(event, "name").casefold().removeprefix(EVENT)
    if name in STATUS_OF_EVENT:
        runs.report(run["runId"], STATUS_OF_EVENT[name])
    elif name == "warning":
        warning = {member: pick_text(event, "data", member, default="") for member in ("source", "message")}
        with runs.changing(run["runId"]) as changed:
            changed["warnings"] = [*changed["warnings"], warning]
    elif name == "error":
        with runs.changing(run["runId"]) as changed:
            changed["error"] = pick_object(event, "data", "errorResponse")
    elif name != "heartbeat":
        raise bad_request(f"'{name}' is no event of a run.", target="name")


def _data(runs: Runs, run: Document, request: Any, base: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if pick(request, "selectRunMetadata", default=True) is True:
        data["runMetadata"] = run_json(run, base)
    if pick(request, "selectRunDefinition") is True:
        data["runDefinition"] = runs.definition(run)
    return {**data, "jobSpecification": None, "systemSettings": None}


def _failure(fault: Fault) -> dict[str, Any]:
    return faults.envelope(fault, "data", request_id="", location=facts.LOCATION)


def _items(body: Document, name: str) -> list[Document]:
    items = pick(body, name, default=[])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items) or len(items) > MAX_BATCH:
        raise bad_request(f"'{name}' must be a list of at most {MAX_BATCH} objects.", target=name)
    return items


def _ids(run_ids: Any) -> list[str]:
    if not isinstance(run_ids, list) or not all(isinstance(each, str) for each in run_ids) or len(run_ids) > MAX_BATCH:
        raise bad_request(f"'runIds' must be a list of at most {MAX_BATCH} strings.", target="runIds")
    return run_ids
