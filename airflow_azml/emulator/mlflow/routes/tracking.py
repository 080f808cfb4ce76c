"""MLflow's tracking REST API 2.0, as mlflow-skinny calls it. Its runs are those of the run history.

What a client says of the status of a run that the executor works on is not taken over: `with mlflow.start_run()` in a
training script ends before the run does.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends

from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request, conflict
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick, pick_text, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.metrics.engine import Metrics
from airflow_azml.emulator.mlflow import records, search
from airflow_azml.emulator.mlflow.files import children
from airflow_azml.emulator.mlflow.records import Parameters, read_integer, read_metric, read_pairs
from airflow_azml.emulator.runs.history import Runs
from airflow_azml.emulator.storage import artifacts
from airflow_azml.emulator.storage.blobs import BlobStore

routes = router("/mlflow/v1.0" + WORKSPACE_PATH + "/api/2.0/mlflow", REGIONAL)
DEFAULT_ID, DEFAULT_NAME = "0", "Default"  # what MLflow uses when no experiment was chosen
PARENT = "mlflow.parentRunId"
PAGE_SIZE = 1000


def _experiment(runs: Runs, experiment_id: str) -> Document:
    if experiment_id == DEFAULT_ID:
        return runs.ensure_experiment(DEFAULT_NAME)
    return runs.experiment_by_id(experiment_id)


def _asked(runs: Engine[Runs], query: FoldedQuery) -> Document:
    return runs.get(query.get("run_id") or query.get("run_uuid") or "")


def _named(runs: Engine[Runs], body: JsonObject) -> Document:
    return runs.get(pick_text(body, "run_id", default="") or pick_text(body, "run_uuid", default=""))


Asked = Annotated[Document, Depends(_asked)]  # the run that the query names
Named = Annotated[Document, Depends(_named)]  # the run that the body names


@routes.get("/experiments/get")
def get_experiment(runs: Engine[Runs], query: FoldedQuery) -> dict[str, Any]:
    """Get Experiment."""
    return {"experiment": records.experiment_json(_experiment(runs, query.get("experiment_id", "")))}


@routes.get("/experiments/get-by-name")
def get_experiment_by_name(runs: Engine[Runs], query: FoldedQuery) -> dict[str, Any]:
    """Get Experiment By Name."""
    return {"experiment": records.experiment_json(runs.experiment(query.get("experiment_name", "")))}


@routes.post("/experiments/create")
def create_experiment(runs: Engine[Runs], body: JsonObject) -> dict[str, Any]:
    """Create Experiment."""
    name = pick_text(body, "name")
    if runs.find_experiment(name):
        raise conflict("ExperimentExists", f"Experiment '{name}' already exists.")
    tags = read_pairs(pick(body, "tags", default=[]))
    experiment = runs.ensure_experiment(name)
    with runs.changing_experiment(name) as changed:
        changed["tags"] = {**changed["tags"], **tags}
    return {"experiment_id": experiment["experimentId"]}


@routes.post("/experiments/search")
def search_experiments(runs: Engine[Runs]) -> dict[str, Any]:
    """Search Experiments: all of them, in one page."""
    return {"experiments": [records.experiment_json(experiment) for experiment in runs.experiments()]}


@routes.post("/runs/create")
def create_run(
    runs: Engine[Runs], parameters: Engine[Parameters], metrics: Engine[Metrics], body: JsonObject
) -> dict[str, Any]:
    """Create Run: an interactive run, whose status is what its creator says."""
    experiment = _experiment(runs, pick_text(body, "experiment_id", default=DEFAULT_ID))
    tags = read_pairs(pick(body, "tags", default=[]))
    run_id = str(uuid.uuid4())
    name = pick_text(body, "run_name", default="") or tags.get("mlflow.runName") or run_id
    parent: dict[str, Any] = {"parentRunId": tags[PARENT]} if PARENT in tags else {}
    runs.create(experiment["name"], run_id, displayName=name, tags=tags, **parent)
    runs.report(run_id, "Running")
    return {"run": _rendered(parameters, metrics, runs.get(run_id))}


@routes.get("/runs/get")
def get_run(parameters: Engine[Parameters], metrics: Engine[Metrics], run: Asked) -> dict[str, Any]:
    """Get Run."""
    return {"run": _rendered(parameters, metrics, run)}


@routes.post("/runs/update")
def update_run(runs: Engine[Runs], run: Named, body: JsonObject) -> dict[str, Any]:
    """Update Run: its name, and its status when it is an interactive run."""
    status = pick_text(body, "status", default="")
    if status not in {"", *records.REPORTED}:
        raise bad_request(f"'{status}' is not a status of a run.", target="status")
    if name := pick_text(body, "run_name", default=""):
        runs.modify(run["runId"], {"displayName": name})
    if status:
        runs.report(run["runId"], records.REPORTED[status])
    return {"run_info": records.info_json(runs.get(run["runId"]))}


@routes.post("/runs/log-metric")
def log_metric(metrics: Engine[Metrics], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Metric."""
    metrics.add(run["runId"], [read_metric(body)])
    return {}


@routes.post("/runs/log-parameter")
def log_parameter(parameters: Engine[Parameters], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Param."""
    parameters.add(run["runId"], read_pairs([body]))
    return {}


@routes.post("/runs/log-batch")
def log_batch(
    parameters: Engine[Parameters], metrics: Engine[Metrics], runs: Engine[Runs], run: Named, body: JsonObject
) -> dict[str, Any]:
    """Log Batch: nothing is written when a part of it cannot be."""
    listed = pick(body, "metrics", default=[])
    if not isinstance(listed, list):
        raise bad_request("'metrics' must be a list.", target="metrics")
    found = [read_metric(item) for item in listed]
    tags = read_pairs(pick(body, "tags", default=[]))
    parameters.add(run["runId"], read_pairs(pick(body, "params", default=[])))
    metrics.add(run["runId"], found)
    runs.modify(run["runId"], {"tags": tags})
    return {}


@routes.post("/runs/set-tag")
def set_tag(runs: Engine[Runs], run: Named, body: JsonObject) -> dict[str, Any]:
    """Set Tag."""
    runs.modify(run["runId"], {"tags": read_pairs([body])})
    return {}


@routes.post("/runs/delete-tag")
def delete_tag(runs: Engine[Runs], run: Named, body: JsonObject) -> dict[str, Any]:
    """Delete Tag."""
    with runs.changing(run["runId"]) as changed:
        changed["tags"] = {key: value for key, value in changed["tags"].items() if key != pick_text(body, "key")}
    return {}


@routes.post("/runs/delete")
def delete_run(runs: Engine[Runs], run: Named) -> dict[str, Any]:
    """Delete Run: it is hidden, not lost."""
    runs.modify(run["runId"], {"hidden": True})
    return {}


@routes.post("/runs/restore")
def restore_run(runs: Engine[Runs], run: Named) -> dict[str, Any]:
    """Restore Run."""
    runs.modify(run["runId"], {"hidden": False})
    return {}


@routes.post("/runs/search")
def search_runs(
    parameters: Engine[Parameters], metrics: Engine[Metrics], runs: Engine[Runs], body: JsonObject
) -> dict[str, Any]:
    """Search Runs."""
    found = [_rendered(parameters, metrics, run) for run in _of_experiments(runs, body) if _viewed(run, body)]
    found = search.select(found, pick_text(body, "filter", default=""))
    found = search.order(found, _listed(body, "order_by"))
    start = read_integer(body, "page_token") if pick(body, "page_token") else 0
    end = start + (read_integer(body, "max_results") or PAGE_SIZE)
    return {"runs": found[max(start, 0) : end], **({"next_page_token": str(end)} if end < len(found) else {})}


@routes.get("/metrics/get-history")
def get_metric_history(metrics: Engine[Metrics], run: Asked, query: FoldedQuery) -> dict[str, Any]:
    """Get Metric History."""
    name = query.get("metric_key", "")
    found = metrics.by_name(run["runId"]).get(name, [])
    return {"metrics": records.history_json(name, found)}


@routes.get("/artifacts/list")
def list_artifacts(blobs: Engine[BlobStore], run: Asked, query: FoldedQuery) -> dict[str, Any]:
    """List Artifacts: one level of the run's tree, by paths below its root."""
    where = artifacts.address("ExperimentRun", run["dataContainerId"], query.get("path"))
    root = f"{where.path}/" if where.path else ""
    files = [{**child, "path": root + child["path"]} for child in children(blobs, where)]
    return {"root_uri": records.info_json(run)["artifact_uri"], "files": files}


@routes.post("/logged-models/search")
def search_logged_models() -> dict[str, Any]:
    """Search Logged Models: none, for they cannot be created here. MLflow 3 asks before it downloads artifacts."""
    return {"models": []}


def _rendered(parameters: Parameters, metrics: Metrics, run: Document) -> dict[str, Any]:
    return records.run_json(run, parameters.of_run(run["runId"]), metrics.by_name(run["runId"]))


def _of_experiments(runs: Runs, body: Document) -> list[Document]:
    wanted = {_experiment(runs, str(each))["experimentId"] for each in _listed(body, "experiment_ids")}
    return [run for run in runs.all() if run["experimentId"] in wanted]


def _viewed(run: Document, body: Document) -> bool:
    view = pick_text(body, "run_view_type", default="ACTIVE_ONLY").upper()
    return view == "ALL" or run["hidden"] == (view == "DELETED_ONLY")


def _listed(body: Document, name: str) -> list[Any]:
    value = pick(body, name, default=[])
    if not isinstance(value, list):
        raise bad_request(f"'{name}' must be a list.", target=name)
    return value
