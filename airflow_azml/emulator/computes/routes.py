"""Computes on Resource Manager, and the regional address from which azureml-core reads them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.computes import bodies, specs
from airflow_azml.emulator.computes.engine import Computes
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.operation_headers import Headers, OperationHeaders
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonObject, router
from airflow_azml.emulator.identity.access import ARM, REGIONAL

routes = router(WORKSPACE_PATH + "/computes", ARM)
regional = router("/rp/workspaces" + WORKSPACE_PATH + "/computes", REGIONAL)


@regional.get("")
@routes.get("")
def list_computes(computes: Engine[Computes], pager: Paged) -> dict[str, Any]:
    """Machine Learning Compute - List By Workspace."""
    return pager.page([bodies.resource(compute) for compute in computes.list()])


@regional.get("/{name}")
@routes.get("/{name}")
async def get_compute(name: str, computes: Engine[Computes]) -> Any:
    """Machine Learning Compute - Get; the service's 404 has no body."""
    compute = computes.find(name)
    return bodies.resource(compute) if compute else Response(status_code=404)


@routes.put("/{name}")
def put_compute(name: str, body: JsonObject, computes: Engine[Computes], headers: Headers) -> Response:
    """Machine Learning Compute - Create Or Update: 201, also when it existed."""
    compute, operation_id = computes.put(name, specs.read(name, body))
    return JSONResponse(bodies.resource(compute), 201, headers.compute(operation_id))


@routes.patch("/{name}")
def patch_compute(name: str, body: JsonObject, computes: Engine[Computes], headers: Headers) -> Response:
    """Machine Learning Compute - Update: the scale settings of a cluster."""
    compute, operation_id = computes.rescale(name, body)
    return JSONResponse(bodies.resource(compute), 202, headers.compute(operation_id))


@routes.delete("/{name}")
def delete_compute(name: str, request: Request, computes: Engine[Computes], headers: Headers) -> Response:
    """Machine Learning Compute - Delete."""
    query = {key.casefold(): value for key, value in request.query_params.items()}
    action = query.get("underlyingresourceaction", "")
    if action.casefold() not in {"delete", "detach"}:
        message = f"The query parameter 'underlyingResourceAction' must be Delete or Detach, not '{action}'."
        raise bad_request(message, target="underlyingResourceAction")
    if computes.find(name) is None:
        return Response(status_code=204)
    if action.casefold() == "detach":
        raise bad_request(f"Compute '{name}' was made by the workspace and cannot be detached: use Delete.")
    return Response(status_code=202, headers=headers.compute(computes.delete(name)))


@routes.post("/{name}/listNodes")
def list_nodes(name: str, computes: Engine[Computes]) -> dict[str, Any]:
    """Machine Learning Compute - List Nodes."""
    compute = computes.get(name)
    if compute["spec"]["computeType"] != specs.CLUSTER:
        raise bad_request(f"Compute '{name}' is not of type {specs.CLUSTER}: it has no list of nodes.")
    return bodies.node_list(compute)


def _power(
    action: Literal["start", "stop", "restart"], name: str, computes: Computes, headers: OperationHeaders
) -> Response:
    return Response(status_code=202, headers=headers.compute(computes.power(name, action)))


@routes.post("/{name}/start")
def start_instance(name: str, computes: Engine[Computes], headers: Headers) -> Response:
    """Compute - Start."""
    return _power("start", name, computes, headers)


@routes.post("/{name}/stop")
def stop_instance(name: str, computes: Engine[Computes], headers: Headers) -> Response:
    """Compute - Stop."""
    return _power("stop", name, computes, headers)


@routes.post("/{name}/restart")
def restart_instance(name: str, computes: Engine[Computes], headers: Headers) -> Response:
    """Compute - Restart."""
    return _power("restart", name, computes, headers)
