"""Resource Manager's models: containers (names) and their versions. They are the models of model management, too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.http import arm_resources
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.operation_headers import Headers
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, router
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.models import bodies
from airflow_azml.emulator.models.filters import accepts
from airflow_azml.emulator.models.registry import Models

routes = router(WORKSPACE_PATH + "/models", ARM)


def _container(models: Models, container: Document) -> dict[str, Any]:
    return bodies.render_container(container, models.list(container["name"]))


def _viewed(query: dict[str, str], found: Sequence[Document]) -> list[Document]:
    shown = arm_resources.in_view(query)
    return [document for document in found if document["isArchived"] in shown]


@routes.get("")
def list_containers(models: Engine[Models], pager: Paged, query: FoldedQuery) -> dict[str, Any]:
    """Model Containers - List."""
    return pager.page([_container(models, container) for container in _viewed(query, models.containers())])


@routes.get("/{name}")
def get_container(models: Engine[Models], name: str) -> dict[str, Any]:
    """Model Containers - Get."""
    return _container(models, models.container(name))


@routes.put("/{name}")
def put_container(models: Engine[Models], name: str, body: JsonObject) -> Response:
    """Model Containers - Create Or Update."""
    container, new = models.put_container(name, bodies.read_container(body))
    return JSONResponse(_container(models, container), 201 if new else 200)


@routes.delete("/{name}")
def delete_container(models: Engine[Models], deployments: Engine[OnlineDeployments], name: str) -> Response:
    """Model Containers - Delete, with all versions; refused when a deployment uses one of them."""
    deleted = models.delete_container(name, partial(deployments.using, "models"))
    return Response(status_code=200 if deleted else 204)


@routes.get("/{name}/versions")
def list_versions(models: Engine[Models], pager: Paged, name: str, query: FoldedQuery) -> dict[str, Any]:
    """Model Versions - List, the newest first unless `$orderBy` says otherwise."""
    wanted = accepts(query, {"version": "version", "description": "description"}, {"tags": "tags"})
    found = [model for model in _viewed(query, models.list(name)) if wanted(model)]
    if query.get("$orderby", "").casefold().endswith(" asc"):
        found.reverse()
    return pager.page([bodies.render_v2(model) for model in found])


@routes.get("/{name}/versions/{version}")
def get_version(models: Engine[Models], name: str, version: str) -> dict[str, Any]:
    """Model Versions - Get."""
    return bodies.render_v2(models.get(name, version))


@routes.put("/{name}/versions/{version}")
def put_version(models: Engine[Models], headers: Headers, name: str, version: str, body: JsonObject) -> Response:
    """Model Versions - Create Or Update: register, archive, or change tags and description."""
    fields = bodies.read_v2(body)
    if models.find(name, version) is None:
        models.require_files(fields)
    model, new = models.register(name, version, fields)
    if not new:
        model = models.change(name, version, lambda present: bodies.update_v2(present, fields))
    answer = bodies.render_v2(model)
    return JSONResponse(answer, 201, headers.resource(answer["id"])) if new else JSONResponse(answer)


@routes.delete("/{name}/versions/{version}")
def delete_version(models: Engine[Models], deployments: Engine[OnlineDeployments], name: str, version: str) -> Response:
    """Model Versions - Delete."""
    deleted = models.delete(name, version, partial(deployments.using, "models"))
    return Response(status_code=200 if deleted else 204)
