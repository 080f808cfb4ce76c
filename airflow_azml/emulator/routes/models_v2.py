"""Resource Manager's models: containers (names) and their versions. They are the models of model management, too."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator import model_files, model_json
from airflow_azml.emulator.access import ARM, Base, World
from airflow_azml.emulator.faults import Fault, bad_request
from airflow_azml.emulator.paging import Paged
from airflow_azml.emulator.routes.modelmanagement import accepts, remove
from airflow_azml.emulator.store import Document
from airflow_azml.emulator.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, router

routes = router(WORKSPACE_PATH + "/models", ARM)
VIEWS = {"activeonly": {False}, "archivedonly": {True}, "all": {True, False}}


def _container(world: World, container: Document) -> dict[str, Any]:
    return model_json.render_container(container, world.models.list(container["name"]))


def _viewed(query: dict[str, str], found: list[Document]) -> list[Document]:
    view = query.get("listviewtype", "ActiveOnly")
    if view.casefold() not in VIEWS:
        raise bad_request(f"'{view}' is no list view type.", target="listViewType")
    return [document for document in found if document["isArchived"] in VIEWS[view.casefold()]]


@routes.get("")
def list_containers(world: World, pager: Paged, query: FoldedQuery) -> dict[str, Any]:
    """Model Containers - List."""
    return pager.page([_container(world, container) for container in _viewed(query, world.models.containers())])


@routes.get("/{name}")
def get_container(world: World, name: str) -> dict[str, Any]:
    """Model Containers - Get."""
    return _container(world, world.models.container(name))


@routes.put("/{name}")
def put_container(world: World, name: str, body: JsonObject) -> Response:
    """Model Containers - Create Or Update."""
    container, new = world.models.put_container(name, model_json.read_container(body))
    return JSONResponse(_container(world, container), 201 if new else 200)


@routes.get("/{name}/versions")
def list_versions(world: World, pager: Paged, name: str, query: FoldedQuery) -> dict[str, Any]:
    """Model Versions - List, the newest first unless `$orderBy` says otherwise."""
    wanted = accepts(query, {"version": "version", "description": "description"}, {"tags": "tags"})
    found = [model for model in _viewed(query, world.models.list(name)) if wanted(model)]
    if query.get("$orderby", "").casefold().endswith(" asc"):
        found.reverse()
    return pager.page([model_json.render_v2(model) for model in found])


@routes.get("/{name}/versions/{version}")
def get_version(world: World, name: str, version: str) -> dict[str, Any]:
    """Model Versions - Get."""
    return model_json.render_v2(world.models.get(name, version))


@routes.put("/{name}/versions/{version}")
def put_version(world: World, base: Base, name: str, version: str, body: JsonObject) -> Response:
    """Model Versions - Create Or Update: register, archive, or change tags and description."""
    fields = model_json.read_v2(body)
    if world.models.find(name, version) is None and not model_files.collect(world.blobs, fields["locations"][0]):
        raise Fault(400, "UserError", f"There are no files at '{fields['url']}'.", target="modelUri")
    model, new = world.models.register(name, version, fields)
    if not new:
        model = world.models.change(name, version, lambda present: model_json.update_v2(present, fields))
    answer = model_json.render_v2(model)
    return JSONResponse(answer, 201 if new else 200, {"Location": f"{base}{answer['id']}"} if new else None)


@routes.delete("/{name}/versions/{version}")
def delete_version(world: World, name: str, version: str) -> Response:
    """Model Versions - Delete."""
    return Response(status_code=200 if remove(world, name, version) else 204)
