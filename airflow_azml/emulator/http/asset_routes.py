"""The routes that every kind of versioned asset has: containers (names) and their versions, below one collection.

A kind is one `Collection` and one class that does what `VersionedAssets` asks. What only one kind offers, the room of
that kind adds to the router.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.http import arm_resources
from airflow_azml.emulator.http.engines import AllEngines, Engines
from airflow_azml.emulator.http.operation_headers import Headers
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, router

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import APIRouter, params

Resource = dict[str, Any]  # as it is answered


class VersionedAssets(Protocol):
    """The assets of one kind, as these routes ask for them."""

    def containers(self) -> list[Resource]:
        """Return all containers."""

    def container(self, name: str) -> Resource:
        """Return a container; the 404 of the service when there is none."""

    def delete_container(self, name: str) -> bool:
        """Delete a container with its versions; tell whether there was one."""

    def versions(self, name: str, query: dict[str, str]) -> list[Resource]:
        """Return the versions of a container that a query asks for, but for its view."""

    def version(self, name: str, version: str) -> Resource:
        """Return a version; the 404 of the service when there is none."""

    def put(self, name: str, version: str, body: Resource) -> tuple[Resource, bool]:
        """Create or change a version; return it and whether it is new."""

    def delete(self, name: str, version: str) -> bool:
        """Delete a version; tell whether there was one."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A kind of versioned assets.

    :param segment: its segment in paths.
    :param noun: its name in the names of operations.
    :param assets: finds its assets among the engines.
    :param again: status of a PUT of a version that exists.
    :param views: whether lists leave out what is archived, unless `listViewType` asks for it.
    """

    segment: str
    noun: str
    assets: Callable[[Engines], VersionedAssets]
    again: int = 200
    views: bool = True

    def shown(self, query: dict[str, str], found: list[Resource]) -> list[Resource]:
        """Return what the view of a list shows."""
        view = arm_resources.in_view(query) if self.views else {False, True}
        return [one for one in found if one["properties"]["isArchived"] in view]


def asset_routes(collection: Collection, dependencies: Sequence[params.Depends]) -> APIRouter:
    """Return a router with the routes of a kind."""
    routes = router(f"{WORKSPACE_PATH}/{collection.segment}", dependencies)
    _add_containers(routes, collection)
    _add_versions(routes, collection)
    return routes


def _add_containers(routes: APIRouter, collection: Collection) -> None:
    def list_(engines: AllEngines, pager: Paged, query: FoldedQuery) -> Resource:
        return pager.page(collection.shown(query, collection.assets(engines).containers()))

    def get(engines: AllEngines, name: str) -> Resource:
        return collection.assets(engines).container(name)

    def delete(engines: AllEngines, name: str) -> Response:
        return _deleted(collection.assets(engines).delete_container(name))

    noun = f"{collection.noun} Containers"
    _add(routes, "GET", "", list_, f"{noun} - List.")
    _add(routes, "GET", "/{name}", get, f"{noun} - Get.")
    _add(routes, "DELETE", "/{name}", delete, f"{noun} - Delete, with all versions.")


def _add_versions(routes: APIRouter, collection: Collection) -> None:
    def list_(engines: AllEngines, pager: Paged, name: str, query: FoldedQuery) -> Resource:
        return pager.page(collection.shown(query, collection.assets(engines).versions(name, query)))

    def get(engines: AllEngines, name: str, version: str) -> Resource:
        return collection.assets(engines).version(name, version)

    def put(engines: AllEngines, headers: Headers, name: str, version: str, body: JsonObject) -> Response:
        answer, new = collection.assets(engines).put(name, version, body)
        status = 201 if new else collection.again
        return JSONResponse(answer, status, headers.resource(answer["id"]) if status == 201 else None)  # noqa: PLR2004 - HTTP's own

    def delete(engines: AllEngines, name: str, version: str) -> Response:
        return _deleted(collection.assets(engines).delete(name, version))

    noun, path = f"{collection.noun} Versions", "/{name}/versions"
    _add(routes, "GET", path, list_, f"{noun} - List, the newest first.")
    _add(routes, "GET", f"{path}/{{version}}", get, f"{noun} - Get.")
    _add(routes, "PUT", f"{path}/{{version}}", put, f"{noun} - Create Or Update: 201 with its address when it is new.")
    _add(routes, "DELETE", f"{path}/{{version}}", delete, f"{noun} - Delete.")


def _deleted(found: bool) -> Response:
    return Response(status_code=200 if found else 204)


def _add(routes: APIRouter, method: str, path: str, handler: Callable[..., Any], operation: str) -> None:
    """Add a route whose handler is named by its operation, as `model_versions_put`."""
    subject = operation.partition(" - ")[0].replace(" ", "_").casefold()
    handler.__name__, handler.__doc__ = f"{subject}_{handler.__name__.strip('_')}", operation
    routes.add_api_route(path, handler, methods=[method])
