"""MLflow's REST API of the model registry. Its models are those of the workspace, whichever API registered them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Depends

from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, conflict
from airflow_azml.emulator.http.limits import bounded
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick, pick_text, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.mlflow import registered, search
from airflow_azml.emulator.mlflow.logged_models import LoggedModels
from airflow_azml.emulator.mlflow.records import read_pairs
from airflow_azml.emulator.models.registry import Models

routes = router("/mlflow/v1.0" + WORKSPACE_PATH + "/api/2.0/mlflow", REGIONAL)
MODELS, VERSIONS = "/registered-models", "/model-versions"


def _container(models: Engine[Models], query: FoldedQuery, body: JsonObject) -> Document:
    return models.container(query.get("name") or pick_text(body, "name"))


Container = Annotated[Document, Depends(_container)]  # the name that the query or the body says


def _version(models: Engine[Models], container: Container, query: FoldedQuery, body: JsonObject) -> Document:
    return models.get(container["name"], query.get("version") or pick_text(body, "version"))


Version = Annotated[Document, Depends(_version)]


@routes.post(MODELS + "/create")
def create_model(models: Engine[Models], body: JsonObject) -> dict[str, Any]:
    """Create Registered Model."""
    name = pick_text(body, "name")
    if any(each["name"].casefold() == name.casefold() for each in models.containers()):
        raise conflict("ModelExists", f"Registered Model (name={name}) already exists.")
    tags = read_pairs(pick(body, "tags", default=[]))
    said = {"tags": tags, "description": pick_text(body, "description", default="") or None}
    container, _ = models.put_container(name, said)
    return {"registered_model": registered.model_json(models, container)}


@routes.get(MODELS + "/get")
def get_model(models: Engine[Models], container: Container) -> dict[str, Any]:
    """Get Registered Model."""
    return {"registered_model": registered.model_json(models, container)}


@routes.patch(MODELS + "/update")
def update_model(models: Engine[Models], container: Container, body: JsonObject) -> dict[str, Any]:
    """Update Registered Model: its description."""
    changed, _ = models.put_container(container["name"], {"description": pick_text(body, "description", default="")})
    return {"registered_model": registered.model_json(models, changed)}


@routes.delete(MODELS + "/delete")
def delete_model(
    models: Engine[Models], deployments: Engine[OnlineDeployments], container: Container
) -> dict[str, Any]:
    """Delete Registered Model, with all versions; refused when a deployment uses one of them."""
    models.delete_container(container["name"], partial(deployments.using, "models"))
    return {}


@routes.get(MODELS + "/search")
def search_models(models: Engine[Models], query: FoldedQuery) -> dict[str, Any]:
    """Search Registered Models."""
    rendered = [registered.model_json(models, container) for container in models.containers()]
    page, more = _page([_searched(each, {}) for each in rendered], query)
    return {"registered_models": [item["of"] for item in page], **more}


@routes.post(MODELS + "/get-latest-versions")
def get_latest_versions(models: Engine[Models], container: Container) -> dict[str, Any]:
    """Get Latest Model Versions: the newest one, as there are no stages."""
    return {"model_versions": registered.model_json(models, container)["latest_versions"]}


@routes.post(MODELS + "/set-tag")
def set_model_tag(models: Engine[Models], container: Container, body: JsonObject) -> dict[str, Any]:
    """Set Registered Model Tag."""
    models.put_container(container["name"], {"tags": bounded({**container["tags"], **read_pairs([body])})})
    return {}


@routes.delete(MODELS + "/delete-tag")
def delete_model_tag(models: Engine[Models], container: Container, body: JsonObject) -> dict[str, Any]:
    """Delete Registered Model Tag."""
    key = pick_text(body, "key")
    tags = {name: value for name, value in container["tags"].items() if name != key}
    models.put_container(container["name"], {"tags": tags})
    return {}


@routes.post(MODELS + "/alias")
def set_alias(models: Engine[Models], container: Container, version: Version, body: JsonObject) -> dict[str, Any]:
    """Set Registered Model Alias."""
    aliases = {**registered.aliases_of(container), pick_text(body, "alias"): version["version"]}
    models.put_container(container["name"], {"aliases": aliases})
    return {}


@routes.delete(MODELS + "/alias")
def delete_alias(models: Engine[Models], container: Container, body: JsonObject) -> dict[str, Any]:
    """Delete Registered Model Alias."""
    alias = pick_text(body, "alias")
    aliases = {name: version for name, version in registered.aliases_of(container).items() if name != alias}
    models.put_container(container["name"], {"aliases": aliases})
    return {}


@routes.get(MODELS + "/alias")
def get_by_alias(models: Engine[Models], container: Container, query: FoldedQuery) -> dict[str, Any]:
    """Get Model Version By Alias."""
    alias = query.get("alias", "")
    number = registered.aliases_of(container).get(alias)
    if number is None:
        message = f"Registered model alias {alias} not found."
        raise Fault(404, "AliasNotFound", message, target=alias)
    return {"model_version": registered.version_json(container, models.get(container["name"], number))}


@routes.post(VERSIONS + "/create")
def create_version(
    models: Engine[Models], logged: Engine[LoggedModels], container: Container, body: JsonObject
) -> dict[str, Any]:
    """Create Model Version: the next number."""
    fields = registered.fields_of(
        logged,
        pick_text(body, "source"),
        pick_text(body, "run_id", default=""),
        read_pairs(pick(body, "tags", default=[])),
        pick_text(body, "description", default="") or None,
    )
    models.require_files(fields)
    version, _ = models.register(container["name"], "", fields)
    return {"model_version": registered.version_json(container, version)}


@routes.get(VERSIONS + "/get")
def get_version(container: Container, version: Version) -> dict[str, Any]:
    """Get Model Version."""
    return {"model_version": registered.version_json(container, version)}


@routes.patch(VERSIONS + "/update")
def update_version(models: Engine[Models], container: Container, version: Version, body: JsonObject) -> dict[str, Any]:
    """Update Model Version: its description."""
    said = {"description": pick_text(body, "description", default="")}
    changed = models.change(version["name"], version["version"], lambda model: model.update(said))
    return {"model_version": registered.version_json(container, changed)}


@routes.delete(VERSIONS + "/delete")
def delete_version(models: Engine[Models], deployments: Engine[OnlineDeployments], version: Version) -> dict[str, Any]:
    """Delete Model Version; refused when a deployment uses it."""
    models.delete(version["name"], version["version"], partial(deployments.using, "models"))
    return {}


@routes.get(VERSIONS + "/search")
def search_versions(models: Engine[Models], query: FoldedQuery) -> dict[str, Any]:
    """Search Model Versions."""
    containers = {container["name"]: container for container in models.containers()}
    rendered = [registered.version_json(containers[version["name"]], version) for version in models.list()]
    page, more = _page([_searched(each, {"version_number": each["version"]}) for each in rendered], query)
    return {"model_versions": [item["of"] for item in page], **more}


@routes.get(VERSIONS + "/get-download-uri")
def get_download_uri(version: Version) -> dict[str, str]:
    """Get Download URI For Model Version Artifacts."""
    return {"artifact_uri": registered.uri_of(version)}


@routes.post(VERSIONS + "/set-tag")
def set_version_tag(models: Engine[Models], version: Version, body: JsonObject) -> dict[str, Any]:
    """Set Model Version Tag."""
    tags = read_pairs([body])
    models.change(
        version["name"], version["version"], lambda model: model.update(tags=bounded({**model["tags"], **tags}))
    )
    return {}


@routes.delete(VERSIONS + "/delete-tag")
def delete_version_tag(models: Engine[Models], version: Version, body: JsonObject) -> dict[str, Any]:
    """Delete Model Version Tag."""
    key = pick_text(body, "key")
    models.change(version["name"], version["version"], lambda model: model["tags"].pop(key, None))
    return {}


def _page(found: list[dict[str, Any]], query: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    return search.page(found, query, [clause for clause in query.get("order_by", "").split(",") if clause])


def _searched(rendered: dict[str, Any], further: dict[str, Any]) -> dict[str, Any]:
    """Return a model as the search language reads it, which is made for runs."""
    started = rendered["creation_timestamp"]
    info = {**rendered, "run_name": rendered["name"], "start_time": started, **further}
    return {"info": info, "data": {"tags": rendered["tags"], "params": [], "metrics": []}, "of": rendered}
