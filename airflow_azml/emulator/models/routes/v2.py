"""Resource Manager's models: containers (names) and their versions. They are the models of model management, too."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.http.access import ARM, Base, World
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, router
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.models import bodies, files
from airflow_azml.emulator.models.filters import accepts

routes = router(WORKSPACE_PATH + "/models", ARM)
VIEWS = {"activeonly": {False}, "archivedonly": {True}, "all": {True, False}}


def _container(world: World, container: Document) -> dict[str, Any]:
    return bodies.render_container(container, world.models.list(container["name"]))


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
    container, new = world.models.put_container(name, bodies.read_container(body))
    return JSONResponse(_container(world, container), 201 if new else 200)


@routes.get("/{name}/versions")
def list_versions(world: World, pager: Paged, name: str, query: FoldedQuery) -> dict[str, Any]:
    """Model Versions - List, the newest first unless `$orderBy` says otherwise."""
    wanted = accepts(query, {"version": "version", "description": "description"}, {"tags": "tags"})
    found = [model for model in _viewed(query, world.models.list(name)) if wanted(model)]
    if query.get("$orderby", "").casefold().endswith(" asc"):
        found.reverse()
    return pager.page([bodies.render_v2(model) for model in found])


@routes.get("/{name}/versions/{version}")
def get_version(world: World, name: str, version: str) -> dict[str, Any]:
    """Model Versions - Get."""
    return bodies.render_v2(world.models.get(name, version))


@routes.put("/{name}/versions/{version}")
def put_version(world: World, base: Base, name: str, version: str, body: JsonObject) -> Response:
    """Model Versions - Create Or Update: register, archive, or change tags and description."""
    fields = bodies.read_v2(body)
    if world.models.find(name, version) is None and not files.collect(world.blobs, fields["locations"][0]):
        raise Fault(400, "UserError", f"There are no files at '{fields['url']}'.", target="modelUri")
    model, new = world.models.register(name, version, fields)
    if not new:
        model = world.models.change(name, version, lambda present: bodies.update_v2(present, fields))
    answer = bodies.render_v2(model)
    return JSONResponse(answer, 201 if new else 200, {"Location": f"{base}{answer['id']}"} if new else None)


@routes.delete("/{name}/versions/{version}")
def delete_version(world: World, name: str, version: str) -> Response:
    """Model Versions - Delete."""
    deleted = world.models.delete(name, version, world.deployments.using(name, version))
    return Response(status_code=200 if deleted else 204)
