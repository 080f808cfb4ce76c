"""MLflow's REST API of logged models, as MLflow 3 calls it from a script."""

from __future__ import annotations

from typing import Any

from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.limits import bounded
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick, pick_text, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.mlflow import logged_models, search
from airflow_azml.emulator.mlflow.files import children
from airflow_azml.emulator.mlflow.logged_models import LoggedModels
from airflow_azml.emulator.mlflow.records import experiment_of, read_pairs
from airflow_azml.emulator.runs.history import Runs
from airflow_azml.emulator.storage import artifacts
from airflow_azml.emulator.storage.blobs import BlobStore

routes = router("/mlflow/v1.0" + WORKSPACE_PATH + "/api/2.0/mlflow/logged-models", REGIONAL)


@routes.post("")
def create_logged_model(runs: Engine[Runs], models: Engine[LoggedModels], body: JsonObject) -> dict[str, Any]:
    """Create Logged Model: its files are uploaded next."""
    run_id = pick_text(body, "source_run_id", default="")
    model = models.create(
        experiment_of(runs, pick_text(body, "experiment_id")),
        runs.get(run_id) if run_id else None,
        _name(pick_text(body, "name", default="")),
        pick_text(body, "model_type", default=""),
        params=read_pairs(pick(body, "params", default=[])),
        tags=read_pairs(pick(body, "tags", default=[])),
    )
    return {"model": logged_models.model_json(model)}


@routes.post("/search")
def search_logged_models(runs: Engine[Runs], models: Engine[LoggedModels], body: JsonObject) -> dict[str, Any]:
    """Search Logged Models."""
    if pick(body, "datasets"):
        raise bad_request("The emulator does not search logged models by data sets.", target="datasets")
    wanted = {experiment_of(runs, str(each))["experimentId"] for each in search.listed(body, "experiment_ids")}
    found = [model for model in models.all() if model["experimentId"] in wanted]
    page, more = search.page([_searched(model) for model in found], body, clauses=_clauses(body))
    return {"models": [item["of"] for item in page], **more}


@routes.get("/{model_id}")
def get_logged_model(models: Engine[LoggedModels], model_id: str) -> dict[str, Any]:
    """Get Logged Model."""
    return {"model": logged_models.model_json(models.get(model_id))}


@routes.patch("/{model_id}")
def finalize_logged_model(models: Engine[LoggedModels], model_id: str, body: JsonObject) -> dict[str, Any]:
    """Finalize Logged Model: its files are uploaded, or they could not be."""
    status = logged_models.read_status(pick_text(body, "status"))
    return {"model": logged_models.model_json(models.change(model_id, lambda model: model.update(status=status)))}


@routes.delete("/{model_id}")
def delete_logged_model(models: Engine[LoggedModels], model_id: str) -> dict[str, Any]:
    """Delete Logged Model."""
    models.delete(model_id)
    return {}


@routes.post("/{model_id}/params")
def log_params(models: Engine[LoggedModels], model_id: str, body: JsonObject) -> dict[str, Any]:
    """Log Logged Model Params."""
    params = read_pairs(pick(body, "params", default=[]))
    models.change(model_id, lambda model: model["params"].update(params))
    return {}


@routes.patch("/{model_id}/tags")
def set_tags(models: Engine[LoggedModels], model_id: str, body: JsonObject) -> dict[str, Any]:
    """Set Logged Model Tags."""
    tags = read_pairs(pick(body, "tags", default=[]))
    changed = models.change(model_id, lambda model: model.update(tags=bounded({**model["tags"], **tags})))
    return {"model": logged_models.model_json(changed)}


@routes.delete("/{model_id}/tags/{tag}")
def delete_tag(models: Engine[LoggedModels], model_id: str, tag: str) -> dict[str, Any]:
    """Delete Logged Model Tag."""
    models.change(model_id, lambda model: model["tags"].pop(tag, None))
    return {}


@routes.get("/{model_id}/artifacts/directories")
def list_artifacts(
    blobs: Engine[BlobStore], models: Engine[LoggedModels], model_id: str, query: FoldedQuery
) -> dict[str, Any]:
    """List Logged Model Artifacts: one level of the model's files."""
    model, below = models.get(model_id), query.get("artifact_directory_path", "").strip("/")
    origin, container, path = model["path"].split("/", 2)
    where = artifacts.address(origin, container, f"{path}/{below}" if below else path)
    files = [{**child, "path": f"{below}/{child['path']}".lstrip("/")} for child in children(blobs, where)]
    return {"root_uri": f"mlflow-artifacts:/{model['path']}", "files": files}


def _name(name: str) -> str:
    if any(character in name for character in "/:.%\"'"):
        raise bad_request(f"The name of a logged model cannot be '{name}'.", target="name")
    return name


def _searched(model: Document) -> dict[str, Any]:
    """Return a model as the search language reads it, which is made for runs."""
    rendered = logged_models.model_json(model)
    info = {**rendered["info"], "run_name": model["name"], "start_time": rendered["info"]["creation_timestamp_ms"]}
    return {"info": info, "data": {**rendered["data"], "tags": rendered["info"]["tags"]}, "of": rendered}


def _clauses(body: Document) -> list[str]:
    return [
        f"{pick_text(item, 'field_name')} {'ASC' if pick(item, 'ascending', default=True) is True else 'DESC'}"
        for item in search.listed(body, "order_by")
    ]
