"""MLflow's tracking REST API 2.0, as mlflow-skinny calls it. Its runs are those of the run history.

What a client says of the status of a run that the executor works on is not taken over: `with mlflow.start_run()` in a
training script ends before the run does.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends

from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request, conflict
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick, pick_text, read_json, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.metrics.engine import Metrics
from airflow_azml.emulator.mlflow import lineage, records, search
from airflow_azml.emulator.mlflow.files import children
from airflow_azml.emulator.mlflow.lineage import Lineage
from airflow_azml.emulator.mlflow.logged_models import LoggedModels
from airflow_azml.emulator.mlflow.records import Parameters, experiment_of, read_metric, read_pairs
from airflow_azml.emulator.runs.history import Runs
from airflow_azml.emulator.storage import artifacts
from airflow_azml.emulator.storage.blobs import BlobStore

routes = router("/mlflow/v1.0" + WORKSPACE_PATH + "/api/2.0/mlflow", REGIONAL)
PARENT, MODELS = "mlflow.parentRunId", "mlflow.log-model.history"


async def _asked(runs: Engine[Runs], query: FoldedQuery) -> Document:
    return runs.get(query.get("run_id") or query.get("run_uuid") or "")


async def _named(runs: Engine[Runs], body: JsonObject) -> Document:
    return runs.get(pick_text(body, "run_id", default="") or pick_text(body, "run_uuid", default=""))


def _renderer(
    parameters: Engine[Parameters], metrics: Engine[Metrics], inputs: Engine[Lineage]
) -> Callable[[Document], dict[str, Any]]:
    def render(run: Document) -> dict[str, Any]:
        run_id = run["runId"]
        logged = parameters.of_run(run_id), metrics.by_name(run_id), inputs.members(run_id)
        return records.run_json(run, *logged)

    return render


Render = Annotated[Callable[[Document], dict[str, Any]], Depends(_renderer)]  # renders a run with all that it logged
Asked = Annotated[Document, Depends(_asked)]  # the run that the query names
Named = Annotated[Document, Depends(_named)]  # the run that the body names


@routes.get("/experiments/get")
def get_experiment(runs: Engine[Runs], query: FoldedQuery) -> dict[str, Any]:
    """Get Experiment."""
    return {"experiment": records.experiment_json(experiment_of(runs, query.get("experiment_id", "")))}


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
def create_run(runs: Engine[Runs], render: Render, body: JsonObject) -> dict[str, Any]:
    """Create Run: an interactive run, whose status is what its creator says."""
    experiment = experiment_of(runs, pick_text(body, "experiment_id", default=records.DEFAULT_ID))
    tags = read_pairs(pick(body, "tags", default=[]))
    run_id = str(uuid.uuid4())
    name = pick_text(body, "run_name", default="") or tags.get("mlflow.runName") or run_id
    parent: dict[str, Any] = {"parentRunId": tags[PARENT]} if PARENT in tags else {}
    runs.create(experiment["name"], run_id, displayName=name, tags=tags, **parent)
    runs.report(run_id, "Running")
    return {"run": render(runs.get(run_id))}


@routes.get("/runs/get")
def get_run(render: Render, run: Asked) -> dict[str, Any]:
    """Get Run."""
    return {"run": render(run)}


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
def log_metric(metrics: Engine[Metrics], models: Engine[LoggedModels], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Metric."""
    _log_metrics(metrics, models, run["runId"], [body])
    return {}


@routes.post("/runs/log-parameter")
def log_parameter(parameters: Engine[Parameters], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Param."""
    parameters.add(run["runId"], read_pairs([body]))
    return {}


@routes.post("/runs/log-batch")
def log_batch(
    parameters: Engine[Parameters],
    metrics: Engine[Metrics],
    models: Engine[LoggedModels],
    runs: Engine[Runs],
    run: Named,
    body: JsonObject,
) -> dict[str, Any]:
    """Log Batch: nothing is written when a part of it cannot be."""
    tags, measured = read_pairs(pick(body, "tags", default=[])), search.listed(body, "metrics")
    for item in measured:
        read_metric(item)  # refuses what is none before anything is written
    parameters.add(run["runId"], read_pairs(pick(body, "params", default=[])))
    _log_metrics(metrics, models, run["runId"], measured)
    runs.modify(run["runId"], {"tags": tags})
    return {}


@routes.post("/runs/log-inputs")
def log_inputs(inputs: Engine[Lineage], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Inputs: data sets and models that the run works with."""
    inputs.add(run["runId"], datasets=lineage.read_datasets(body), inputs=lineage.read_models(body))
    return {}


@routes.post("/runs/outputs")
def log_outputs(outputs: Engine[Lineage], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Outputs: models that the run has made."""
    outputs.add(run["runId"], outputs=lineage.read_models(body))
    return {}


@routes.post("/runs/log-model")
def log_model(runs: Engine[Runs], run: Named, body: JsonObject) -> dict[str, Any]:
    """Log Model: MLflow 2 keeps what it says of its models in a tag."""
    model = read_json(pick_text(body, "model_json").encode(), "'model_json'")
    history = [*read_json(run["tags"].get(MODELS, "[]").encode(), f"The tag '{MODELS}'"), model]
    runs.modify(run["runId"], {"tags": {MODELS: json.dumps(history)}})
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
def search_runs(runs: Engine[Runs], render: Render, body: JsonObject) -> dict[str, Any]:
    """Search Runs."""
    found = [run for run in _of_experiments(runs, body) if _viewed(run, body)]
    page, more = search.page([render(run) for run in found], body)
    return {"runs": page, **more}


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


def _log_metrics(metrics: Metrics, models: LoggedModels, run_id: str, items: list[Any]) -> None:
    for item in items:
        metric = read_metric(item)
        metrics.add(run_id, [metric])
        if model_id := pick_text(item, "model_id", default=""):
            dataset = [pick_text(item, name, default="") for name in ("dataset_name", "dataset_digest")]
            models.measure({**metric, "modelId": model_id, "runId": run_id, "dataset": dataset})


def _of_experiments(runs: Runs, body: Document) -> list[Document]:
    wanted = {experiment_of(runs, str(each))["experimentId"] for each in search.listed(body, "experiment_ids")}
    return [run for run in runs.all() if run["experimentId"] in wanted]


def _viewed(run: Document, body: Document) -> bool:
    view = pick_text(body, "run_view_type", default="ACTIVE_ONLY").upper()
    return view == "ALL" or run["hidden"] == (view == "DELETED_ONLY")
