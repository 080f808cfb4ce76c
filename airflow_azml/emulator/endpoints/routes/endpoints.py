"""Resource Manager's online endpoints and their deployments."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.endpoints import deployment_bodies, endpoint_bodies
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.operation_headers import DEPLOYMENT, ENDPOINT, TIMEOUT, Headers, OperationHeaders
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonObject, pick, pick_text, router
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.kernel.store import Document

routes = router(WORKSPACE_PATH + "/onlineEndpoints", ARM)
LOG_LINES = 100
CONTAINERS = {"inferenceserver", "storageinitializer"}


@routes.get("")
def list_endpoints(endpoints: Engine[OnlineEndpoints], base: Base, pager: Paged) -> dict[str, Any]:
    """Online Endpoints - List."""
    return pager.page([endpoint_bodies.render(endpoint, base) for endpoint in endpoints.list()])


@routes.get("/{endpoint}")
async def get_endpoint(endpoints: Engine[OnlineEndpoints], base: Base, endpoint: str) -> dict[str, Any]:
    """Online Endpoints - Get."""
    return endpoint_bodies.render(endpoints.get(endpoint), base)


@routes.put("/{endpoint}")
def put_endpoint(
    endpoints: Engine[OnlineEndpoints], headers: Headers, base: Base, endpoint: str, body: JsonObject
) -> Response:
    """Online Endpoints - Create Or Update; setting traffic is an update."""
    document = endpoints.put(endpoint, body)
    return _put(headers, ENDPOINT, document, endpoint_bodies.render(document, base))


@routes.patch("/{endpoint}")
def patch_endpoint(endpoints: Engine[OnlineEndpoints], headers: Headers, endpoint: str, body: JsonObject) -> Response:
    """Online Endpoints - Update: tags and identity."""
    return _patched(headers, ENDPOINT, endpoints.patch(endpoint, body))


@routes.delete("/{endpoint}")
def delete_endpoint(endpoints: Engine[OnlineEndpoints], headers: Headers, endpoint: str) -> Response:
    """Online Endpoints - Delete, with all deployments."""
    return _deletion(headers, ENDPOINT, endpoints.delete(endpoint))


@routes.post("/{endpoint}/listKeys")
def list_keys(endpoints: Engine[OnlineEndpoints], endpoint: str) -> dict[str, str]:
    """Online Endpoints - List Keys."""
    return endpoints.keys(endpoint)


@routes.post("/{endpoint}/regenerateKeys")
def regenerate_keys(endpoints: Engine[OnlineEndpoints], headers: Headers, endpoint: str, body: JsonObject) -> Response:
    """Online Endpoints - Regenerate Keys: the new key is good at once."""
    began = _operation(endpoints.regenerate_key(endpoint, body))
    return Response(status_code=202, headers=headers.result(began, ENDPOINT))


@routes.post("/{endpoint}/token")
def get_token(endpoints: Engine[OnlineEndpoints], base: Base, endpoint: str) -> dict[str, Any]:
    """Online Endpoints - Get Token."""
    return endpoints.token(endpoint, issuer=base)


@routes.get("/{endpoint}/deployments")
def list_deployments(deployments: Engine[OnlineDeployments], pager: Paged, endpoint: str) -> dict[str, Any]:
    """Online Deployments - List."""
    return pager.page([deployment_bodies.render(deployment) for deployment in deployments.list(endpoint)])


@routes.get("/{endpoint}/deployments/{name}")
async def get_deployment(deployments: Engine[OnlineDeployments], endpoint: str, name: str) -> dict[str, Any]:
    """Online Deployments - Get."""
    return deployment_bodies.render(deployments.get(endpoint, name))


@routes.put("/{endpoint}/deployments/{name}")
def put_deployment(
    deployments: Engine[OnlineDeployments],
    headers: Headers,
    endpoint: str,
    name: str,
    body: JsonObject,
) -> Response:
    """Online Deployments - Create Or Update."""
    document = deployments.put(endpoint, name, body)
    return _put(headers, DEPLOYMENT, document, deployment_bodies.render(document))


@routes.patch("/{endpoint}/deployments/{name}")
def patch_deployment(
    deployments: Engine[OnlineDeployments],
    headers: Headers,
    endpoint: str,
    name: str,
    body: JsonObject,
) -> Response:
    """Online Deployments - Update: tags and sku."""
    return _patched(headers, DEPLOYMENT, deployments.patch(endpoint, name, body))


@routes.delete("/{endpoint}/deployments/{name}")
def delete_deployment(deployments: Engine[OnlineDeployments], headers: Headers, endpoint: str, name: str) -> Response:
    """Online Deployments - Delete."""
    return _deletion(headers, DEPLOYMENT, deployments.delete(endpoint, name))


@routes.post("/{endpoint}/deployments/{name}/getLogs")
def get_logs(deployments: Engine[OnlineDeployments], endpoint: str, name: str, body: JsonObject) -> dict[str, str]:
    """Online Deployments - Get Logs. What the service's storage initializer does goes without a log here."""
    tail = pick(body, "tail", default=LOG_LINES)
    if type(tail) is not int or tail < 1:
        raise bad_request("'tail' must be a positive whole number.", target="tail")
    container = pick_text(body, "containerType", default="InferenceServer")
    if container.casefold() not in CONTAINERS:
        raise bad_request("'containerType' must be InferenceServer or StorageInitializer.", target="containerType")
    logs = deployments.logs(endpoint, name, tail)
    return {"content": logs if container.casefold() == "inferenceserver" else ""}


def _operation(document: Document) -> str:
    operation_id: str = document["change"]["operations"][-1]
    return operation_id


def _put(headers: OperationHeaders, prefix: str, document: Document, body: dict[str, Any]) -> Response:
    began = headers.status(_operation(document), prefix)
    body["properties"]["properties"] |= {"AzureAsyncOperationUri": began["Azure-AsyncOperation"]}
    return JSONResponse(body, 201, {**began, **headers.resource(body["id"])})


def _patched(headers: OperationHeaders, prefix: str, document: Document) -> Response:
    return Response(status_code=202, headers={**headers.result(_operation(document), prefix), **TIMEOUT})


def _deletion(headers: OperationHeaders, prefix: str, document: Document | None) -> Response:
    if document is None:
        return Response(status_code=204)
    began = _operation(document)
    return Response(status_code=202, headers={**headers.status(began, prefix), **headers.result(began, prefix)})
