"""The run history's experiments: created by name, found by name, id or query, tagged and archived."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Request

from airflow_azml.emulator.http import history_query
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.limits import bounded
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonBody, JsonObject, pick, pick_object, pick_text, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.runs.history import Runs, now

COUNTED = (
    "NotStarted", "Provisioning", "Starting", "Preparing", "Queued", "Running", "Completed", "Failed", "Canceled",
    "NotResponding",
)  # fmt: skip

FIELDS = (
    "experimentId", "name", "description", "createdUtc", "archivedTime", "tags", "latestCreatedRunCreatedUtc",
    "latestCreatedRunId",
)  # fmt: skip

routes = router("/history/v1.0" + WORKSPACE_PATH, REGIONAL)


async def _by_id(experiment_id: str, runs: Engine[Runs]) -> Document:
    return runs.experiment_by_id(experiment_id)


ById = Annotated[Document, Depends(_by_id)]


@routes.get("/experiments/{experiment}")
def get_experiment(experiment: str, runs: Engine[Runs]) -> dict[str, Any]:
    """Return an experiment."""
    return runs.experiment(experiment)


@routes.post("/experiments/{experiment}")
def create_experiment(experiment: str, runs: Engine[Runs]) -> dict[str, Any]:
    """Create an experiment; the one that exists is returned as it is."""
    return runs.ensure_experiment(experiment)


@routes.get("/experiments/{experiment}/runcounts")
def count_runs(experiment: str, runs: Engine[Runs]) -> dict[str, int]:
    """Count the experiment's runs by their status."""
    found = runs.all(runs.experiment(experiment)["name"])
    counts = Counter(run["status"] for run in found)
    return {status[:1].lower() + status[1:]: counts[status] for status in COUNTED}


@routes.get("/experimentids/{experiment_id}")
def get_experiment_by_id(experiment: ById) -> dict[str, Any]:
    """Return an experiment."""
    return experiment


@routes.patch("/experimentids/{experiment_id}")
def modify_experiment(experiment: ById, runs: Engine[Runs], body: JsonObject) -> dict[str, Any]:
    """Change description and tags, archive or bring back."""
    with runs.changing_experiment(experiment["name"]) as changed:
        given = {name: str(value) for name, value in pick_object(body, "tags").items()}
        changed["tags"] = bounded({**changed["tags"], **given})
        if pick(body, "description") is not None:
            changed["description"] = pick_text(body, "description")
        if pick(body, "archive") is True:
            changed["archivedTime"] = now()
        elif pick(body, "archive") is False:
            changed.pop("archivedTime", None)
    return changed


@routes.delete("/experimentids/{experiment_id}/tags")
def delete_experiment_tags(experiment: ById, runs: Engine[Runs], body: JsonBody) -> dict[str, Any]:
    """Remove tags by their names."""
    names = body if isinstance(body, list) else pick(body, "tags", default=[])
    if not isinstance(names, list):
        raise bad_request("'tags' must be a list of names.", target="tags")
    with runs.changing_experiment(experiment["name"]) as changed:
        changed["tags"] = {name: value for name, value in changed["tags"].items() if name not in names}
    return changed


@routes.get("/experiments")
@routes.api_route("/experiments:query", methods=["POST", "GET"])
def query_experiments(runs: Engine[Runs], body: JsonObject, base: Base, request: Request) -> dict[str, Any]:
    """Return the experiments that match a filter, or all; GET answers the `nextLink` of such a query."""
    query = history_query.read({**request.query_params, **body})
    page, token = query.select(runs.experiments(), "experimentId", FIELDS)
    return {"value": page, **query.links(token, base + request.url.path)}
