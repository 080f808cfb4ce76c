"""Resource Manager's models: containers (names) and their versions. They are the models of model management, too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.http.asset_routes import Collection, asset_routes
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.wire import JsonObject
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.models import bodies
from airflow_azml.emulator.models.filters import accepts
from airflow_azml.emulator.models.registry import Models

if TYPE_CHECKING:
    from airflow_azml.emulator.http.asset_routes import Resource
    from airflow_azml.emulator.http.engines import Engines
    from airflow_azml.emulator.kernel.store import Document


class _Versioned:
    """The models, as their routes ask for them.

    :param models: the registry.
    :param deployments: what may be made of them: such models are not deleted.
    """

    def __init__(self, models: Models, deployments: OnlineDeployments) -> None:
        self._models, self._using = models, partial(deployments.using, "models")

    def containers(self) -> list[Resource]:
        return [_container(self._models, container) for container in self._models.containers()]

    def container(self, name: str) -> Resource:
        return _container(self._models, self._models.container(name))

    def delete_container(self, name: str) -> bool:
        return self._models.delete_container(name, self._using)

    def versions(self, name: str, query: dict[str, str]) -> list[Resource]:
        """Return the versions, the newest first unless `$orderBy` says otherwise."""
        wanted = accepts(query, {"version": "version", "description": "description"}, {"tags": "tags"})
        found = [bodies.render_v2(model) for model in self._models.list(name) if wanted(model)]
        return found[::-1] if query.get("$orderby", "").casefold().endswith(" asc") else found

    def version(self, name: str, version: str) -> Resource:
        return bodies.render_v2(self._models.get(name, version))

    def put(self, name: str, version: str, body: Resource) -> tuple[Resource, bool]:
        """Register a version, archive it, or change its tags and description."""
        fields = bodies.read_v2(body)
        if self._models.find(name, version) is None:
            self._models.require_files(fields)
        model, new = self._models.register(name, version, fields)
        if not new:
            model = self._models.change(name, version, lambda present: bodies.update_v2(present, fields))
        return bodies.render_v2(model), new

    def delete(self, name: str, version: str) -> bool:
        return self._models.delete(name, version, self._using)


def _models(engines: Engines) -> _Versioned:
    return _Versioned(engines[Models], engines[OnlineDeployments])


routes = asset_routes(Collection("models", "Model", _models), ARM)


@routes.put("/{name}")
def put_container(models: Engine[Models], name: str, body: JsonObject) -> Response:
    """Model Containers - Create Or Update."""
    container, new = models.put_container(name, bodies.read_container(body))
    return JSONResponse(_container(models, container), 201 if new else 200)


def _container(models: Models, container: Document) -> Resource:
    return bodies.render_container(container, models.list(container["name"]))
