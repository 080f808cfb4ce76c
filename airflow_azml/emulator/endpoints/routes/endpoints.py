"""Resource Manager's online endpoints and their deployments."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.endpoints import deployment_bodies, engine
from airflow_azml.emulator.http.access import ARM, Base, World
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonObject, pick, pick_text, router
from airflow_azml.emulator.kernel.store import Document

routes = router(WORKSPACE_PATH + "/onlineEndpoints", ARM)
LOG_LINES = 100
CONTAINERS = {"inferenceserver", "storageinitializer"}


@routes.get("")
def list_endpoints(world: World, base: Base, pager: Paged) -> dict[str, Any]:
    """Online Endpoints - List."""
    return pager.page([engine.render(endpoint, base) for endpoint in world.endpoints.list()])


@routes.get("/{endpoint}")
def get_endpoint(world: World, base: Base, endpoint: str) -> dict[str, Any]:
    """Online Endpoints - Get."""
    return engine.render(world.endpoints.get(endpoint), base)


@routes.put("/{endpoint}")
def put_endpoint(world: World, base: Base, endpoint: str, body: JsonObject) -> Response:
    """Online Endpoints - Create Or Update; setting traffic is an update."""
    document, new = world.endpoints.put(endpoint, body)
    return _begun(world, base, document, engine.render(document, base), new=new)


@routes.delete("/{endpoint}")
def delete_endpoint(world: World, base: Base, endpoint: str) -> Response:
    """Online Endpoints - Delete, with all deployments."""
    return _deletion(world, base, world.endpoints.delete(endpoint))


@routes.post("/{endpoint}/listKeys")
def list_keys(world: World, endpoint: str) -> dict[str, str]:
    """Online Endpoints - List Keys."""
    return world.endpoints.keys(endpoint)


@routes.post("/{endpoint}/regenerateKeys")
def regenerate_keys(world: World, base: Base, endpoint: str, body: JsonObject) -> Response:
    """Online Endpoints - Regenerate Keys: the new key is good at once."""
    return Response(status_code=202, headers=_headers(world, base, world.endpoints.regenerate_key(endpoint, body)))


@routes.post("/{endpoint}/token")
def get_token(world: World, base: Base, endpoint: str) -> dict[str, Any]:
    """Online Endpoints - Get Token."""
    return world.endpoints.token(endpoint, issuer=base)


@routes.get("/{endpoint}/deployments")
def list_deployments(world: World, pager: Paged, endpoint: str) -> dict[str, Any]:
    """Online Deployments - List."""
    return pager.page([deployment_bodies.render(deployment) for deployment in world.deployments.list(endpoint)])


@routes.get("/{endpoint}/deployments/{name}")
def get_deployment(world: World, endpoint: str, name: str) -> dict[str, Any]:
    """Online Deployments - Get."""
    return deployment_bodies.render(world.deployments.get(endpoint, name))


@routes.put("/{endpoint}/deployments/{name}")
def put_deployment(world: World, base: Base, endpoint: str, name: str, body: JsonObject) -> Response:
    """Online Deployments - Create Or Update."""
    document, new = world.deployments.put(endpoint, name, body)
    return _begun(world, base, document, deployment_bodies.render(document), new=new)


@routes.delete("/{endpoint}/deployments/{name}")
def delete_deployment(world: World, base: Base, endpoint: str, name: str) -> Response:
    """Online Deployments - Delete."""
    return _deletion(world, base, world.deployments.delete(endpoint, name))


@routes.post("/{endpoint}/deployments/{name}/getLogs")
def get_logs(world: World, endpoint: str, name: str, body: JsonObject) -> dict[str, str]:
    """Online Deployments - Get Logs. What the service's storage initializer does goes without a log here."""
    tail = pick(body, "tail", default=LOG_LINES)
    if type(tail) is not int or tail < 1:
        raise bad_request("'tail' must be a positive whole number.", target="tail")
    container = pick_text(body, "containerType", default="InferenceServer")
    if container.casefold() not in CONTAINERS:
        raise bad_request("'containerType' must be InferenceServer or StorageInitializer.", target="containerType")
    logs = world.deployments.logs(endpoint, name, tail)
    return {"content": logs if container.casefold() == "inferenceserver" else ""}


def _headers(world: World, base: str, document: Document) -> dict[str, str]:
    return world.operations.headers(document["change"]["operation"], base, "mfeOperationsStatus", location=True)


def _begun(world: World, base: str, document: Document, body: dict[str, Any], *, new: bool) -> Response:
    headers = _headers(world, base, document)
    body["properties"]["properties"] |= {"AzureAsyncOperationUri": headers["Azure-AsyncOperation"]}
    return JSONResponse(body, 201 if new else 200, headers)


def _deletion(world: World, base: str, document: Document | None) -> Response:
    if document is None:
        return Response(status_code=204)
    return Response(status_code=202, headers=_headers(world, base, document))
