"""Computes on Resource Manager, and the regional address from which azureml-core reads them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.computes import bodies, specs
from airflow_azml.emulator.http.access import ARM, REGIONAL, Base, World
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonObject, router

routes = router(WORKSPACE_PATH + "/computes", ARM)
regional = router("/rp/workspaces" + WORKSPACE_PATH + "/computes", REGIONAL)
FAMILY = "computeOperationsStatus"


@regional.get("")
@routes.get("")
def list_computes(world: World, pager: Paged) -> dict[str, Any]:
    """Machine Learning Compute - List By Workspace."""
    return pager.page([bodies.resource(compute) for compute in world.computes.list()])


@regional.get("/{name}")
@routes.get("/{name}")
def get_compute(name: str, world: World) -> dict[str, Any]:
    """Machine Learning Compute - Get."""
    return bodies.resource(world.computes.get(name))


@routes.put("/{name}")
def put_compute(name: str, body: JsonObject, world: World, base: Base) -> Response:
    """Machine Learning Compute - Create Or Update: 201 when it did not exist, 200 when it did."""
    spec = specs.read(name, body)
    if world.computes.find(name) is None:
        compute, operation_id = world.computes.create(name, spec)
        status = 201
    else:
        compute, operation_id = world.computes.update(name, lambda present: specs.merge(present, spec))
        status = 200
    headers = world.operations.headers(operation_id, base, FAMILY)
    return JSONResponse(bodies.resource(compute), status_code=status, headers=headers)


@routes.patch("/{name}")
def patch_compute(name: str, body: JsonObject, world: World, base: Base) -> Response:
    """Machine Learning Compute - Update: the scale settings of a cluster."""
    compute, operation_id = world.computes.update(name, lambda present: specs.rescale(present, body))
    return JSONResponse(bodies.resource(compute), headers=world.operations.headers(operation_id, base, FAMILY))


@routes.delete("/{name}")
def delete_compute(name: str, request: Request, world: World, base: Base) -> Response:
    """Machine Learning Compute - Delete."""
    query = {key.casefold(): value for key, value in request.query_params.items()}
    action = query.get("underlyingresourceaction", "")
    if action.casefold() not in {"delete", "detach"}:
        message = f"The query parameter 'underlyingResourceAction' must be Delete or Detach, not '{action}'."
        raise bad_request(message, target="underlyingResourceAction")
    if world.computes.find(name) is None:
        return Response(status_code=204)
    if action.casefold() == "detach":
        raise bad_request(f"Compute '{name}' was made by the workspace and cannot be detached: use Delete.")
    headers = world.operations.headers(world.computes.delete(name), base, FAMILY, location=True)
    return Response(status_code=202, headers=headers)


@routes.post("/{name}/listNodes")
def list_nodes(name: str, world: World) -> dict[str, Any]:
    """Machine Learning Compute - List Nodes."""
    compute = world.computes.get(name)
    if compute["spec"]["computeType"] != specs.CLUSTER:
        raise bad_request(f"Compute '{name}' is not of type {specs.CLUSTER}: it has no list of nodes.")
    return bodies.node_list(compute)


def _power(action: Literal["start", "stop", "restart"], name: str, world: World, base: Base) -> Response:
    operation_id = world.computes.power(name, action)
    return Response(status_code=202, headers=world.operations.headers(operation_id, base, FAMILY, location=True))


@routes.post("/{name}/start")
def start_instance(name: str, world: World, base: Base) -> Response:
    """Compute - Start."""
    return _power("start", name, world, base)


@routes.post("/{name}/stop")
def stop_instance(name: str, world: World, base: Base) -> Response:
    """Compute - Stop."""
    return _power("stop", name, world, base)


@routes.post("/{name}/restart")
def restart_instance(name: str, world: World, base: Base) -> Response:
    """Compute - Restart."""
    return _power("restart", name, world, base)
