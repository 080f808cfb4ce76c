"""Resource Manager around the workspace: subscriptions, groups, workspaces, operations; and the discovery service.

The discovery service and the list of the cloud's endpoints answer without a token, as the service's do.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.arm import bodies
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, bad_request, missing
from airflow_azml.emulator.http.operation_headers import Headers, OperationHeaders
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, router
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.kernel.operations import UNDER_WAY, Operations
from airflow_azml.emulator.kernel.store import Document

open_routes = router()
routes = router(dependencies=ARM)
PROVIDER = "/providers/Microsoft.MachineLearningServices"
TAG_FILTER = re.compile(r"tagName eq '[^']*'( and tagValue eq '[^']*')?", re.IGNORECASE)
OPERATIONS = "/subscriptions/{subscription}" + PROVIDER + "/locations/{location}"


@open_routes.get("/metadata/endpoints")
def cloud_endpoints(base: Base) -> list[dict[str, Any]]:
    """The endpoints of the clouds that this Resource Manager knows: its own."""
    return [bodies.cloud(base)]


@open_routes.get("/discovery")
@open_routes.get("/discovery/workspaces/{workspace_id}")
def discovery(base: Base) -> dict[str, str]:
    """The addresses of the regional services."""
    return bodies.discovery(base)


@routes.get("/subscriptions")
def list_subscriptions() -> dict[str, Any]:
    """Subscriptions - List."""
    return {"value": [bodies.subscription()], "count": {"type": "Total", "value": 1}}


@routes.get("/subscriptions/{subscription}")
def get_subscription() -> dict[str, Any]:
    """Subscriptions - Get."""
    return bodies.subscription()


@routes.get("/subscriptions/{subscription}/resourceGroups")
def list_groups(pager: Paged, query: FoldedQuery) -> dict[str, Any]:
    """Resource Groups - List; a filter asks for a tag, and the one group has none."""
    if wanted := query.get("$filter"):
        if not TAG_FILTER.fullmatch(wanted.strip()):
            message = f"Invalid $filter '{wanted}' specified in the query string."
            raise bad_request(message, code="InvalidFilterInQueryString", target="$filter")
        return pager.page([])
    return pager.page([bodies.resource_group()])


@routes.get("/subscriptions/{subscription}/resourceGroups/{group}")
def get_group() -> dict[str, Any]:
    """Resource Groups - Get."""
    return bodies.resource_group()


@routes.get("/subscriptions/{subscription}" + PROVIDER + "/workspaces")
@routes.get("/subscriptions/{subscription}/resourceGroups/{group}" + PROVIDER + "/workspaces")
def list_workspaces(base: Base, pager: Paged) -> dict[str, Any]:
    """Workspaces - List By Subscription and List By Resource Group."""
    return pager.page([bodies.workspace(base)])


@routes.get(WORKSPACE_PATH)
def get_workspace(base: Base) -> dict[str, Any]:
    """Workspaces - Get."""
    return bodies.workspace(base)


def _found(operations: Operations, operation_id: str) -> Document:
    """Return an operation by its id, before which may stand what it belongs to."""
    operation = operations.get(operation_id.rpartition(":")[2])
    if operation is None:
        raise missing("OperationNotFound", f"Operation {operation_id} not found.")
    return operation


def _waiting(operation: Document, headers: OperationHeaders) -> dict[str, str] | None:
    return headers.wait() if operation["status"] == UNDER_WAY else None


@routes.get(OPERATIONS + "/computeOperationsStatus/{operation_id}")
async def compute_operation(operation_id: str, operations: Engine[Operations], headers: Headers) -> Response:
    """What `Azure-AsyncOperation` of a compute points to: 200 with the status, also when that is Failed."""
    operation = _found(operations, operation_id)
    members = ("status", "percentComplete", "error")
    body = {member: operation[member] for member in members if member in operation}
    return JSONResponse(body, headers=_waiting(operation, headers))


@routes.get(OPERATIONS + "/mfeOperationsStatus/{operation_id}")
async def operation_status(
    operation_id: str, operations: Engine[Operations], headers: Headers, request: Request
) -> Response:
    """What `Azure-AsyncOperation` of an endpoint or a deployment points to: 200, also when the status is Failed."""
    operation = _found(operations, operation_id)
    body = bodies.operation(operation, operation_id, request.url.path)
    return JSONResponse(body, headers=_waiting(operation, headers))


@routes.get(OPERATIONS + "/mfeOperationResults/{operation_id}")
async def operation_result(
    operation_id: str, operations: Engine[Operations], headers: Headers, request: Request
) -> Response:
    """What `Location` points to: 202 until the operation has ended, then 200 with it, or the operation's error."""
    operation = _found(operations, operation_id)
    if operation["status"] == UNDER_WAY:
        prefix = operation_id.partition(":")[0]
        return JSONResponse({}, 202, headers.result(operation["id"], prefix))
    if "error" in operation:
        raise Fault(400, operation["error"]["code"], operation["error"]["message"])
    return JSONResponse(bodies.operation(operation, operation_id, request.url.path))
