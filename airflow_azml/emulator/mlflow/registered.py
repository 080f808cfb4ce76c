"""The model registry as MLflow sees it: its registered models are the names of the registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.mlflow.records import pairs, to_milliseconds
from airflow_azml.emulator.models import bodies

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document
    from airflow_azml.emulator.mlflow.logged_models import LoggedModels
    from airflow_azml.emulator.models.registry import Models

PROXIED = re.compile(r"mlflow-artifacts:(?://[^/]*)?/(?P<path>.+)")
OF_RUN = re.compile(r"runs:/+(?P<run>[^/]+)/(?P<path>.+)")
OF_MODEL = re.compile(r"models:/+(?P<model>m-[0-9a-f]+)/?")
DATASTORE = "azureml://datastores/workspaceartifactstore/paths/"


def fields_of(
    logged: LoggedModels, source: str, run_id: str, tags: dict[str, str], description: str | None
) -> dict[str, Any]:
    """Return the fields of a version whose files are at a source; refuse a source that leads elsewhere."""
    if match := OF_MODEL.fullmatch(source):
        model = logged.get(match["model"])
        path, run_id = model["path"], run_id or model["runId"]
    elif match := OF_RUN.fullmatch(source):
        path = f"ExperimentRun/dcid.{match['run']}/{match['path']}"
    elif match := PROXIED.fullmatch(source):
        path = match["path"]
    else:
        raise bad_request(f"The source '{source}' does not lead to artifacts of the workspace.", target="source")
    properties = {"modelUri": DATASTORE + path.strip("/"), "modelType": "mlflow_model", "tags": tags}
    fields = bodies.read_v2({"properties": {**properties, "description": description}})
    return {**fields, "runId": run_id or None}


def model_json(models: Models, container: Document) -> dict[str, Any]:
    """Render a name."""
    versions = models.list(container["name"])
    return {
        "name": container["name"],
        "creation_timestamp": to_milliseconds(container["created"]),
        "last_updated_timestamp": to_milliseconds(container["modified"]),
        "description": container["description"] or "",
        "tags": pairs(container["tags"]),
        "latest_versions": [version_json(container, version) for version in versions[:1]],
        "aliases": [{"alias": alias, "version": version} for alias, version in aliases_of(container).items()],
    }


def version_json(container: Document, version: Document) -> dict[str, Any]:
    """Render a version."""
    named = [alias for alias, number in aliases_of(container).items() if number == version["version"]]
    return {
        "name": version["name"],
        "version": version["version"],
        "creation_timestamp": to_milliseconds(version["created"]),
        "last_updated_timestamp": to_milliseconds(version["modified"]),
        "current_stage": version["stage"] or "None",
        "description": version["description"] or "",
        "source": uri_of(version),
        "run_id": version["runId"] or "",
        "status": "READY",
        "tags": pairs(version["tags"]),
        "aliases": named,
    }


def uri_of(version: Document) -> str:
    """Return where MLflow finds the files of a version."""
    (container, path), *more = version["locations"]
    if more or container != "azureml":
        raise Fault(501, "NotImplemented", f"MLflow cannot reach the files of model '{version['name']}' here.")
    return f"mlflow-artifacts:/{path}"


def aliases_of(container: Document) -> dict[str, str]:
    """Return the aliases of a model: each names a version."""
    aliases: dict[str, str] = container.get("aliases") or {}
    return aliases
