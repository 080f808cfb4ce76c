"""Resource Manager around the workspace: subscriptions, groups, workspaces, operations; and the discovery service.

The discovery service and the list of the cloud's endpoints answer without a token, as the service's do.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.arm import bodies
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, bad_request, not_found
from airflow_azml.emulator.http.operation_headers import Headers
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, router
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.kernel.operations import UNDER_WAY, Operations

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


@routes.get(OPERATIONS + "/{family}OperationsStatus/{operation_id}")
def operation_status(operation_id: str, operations: Engine[Operations], headers: Headers) -> Response:
    """What `Azure-AsyncOperation` points to: 200 with the status, also when that is Failed."""
    operation = operations.get(operation_id)
    if operation is None:
        raise not_found("Operation", operation_id)
    members = ("status", "percentComplete", "error")
    body = {member: operation[member] for member in members if member in operation}
    return JSONResponse(body, headers=headers.wait() if operation["status"] == UNDER_WAY else None)


@routes.get(OPERATIONS + "/{family}OperationResults/{operation_id}")
def operation_result(family: str, operation_id: str, operations: Engine[Operations], headers: Headers) -> Response:
    """What `Location` points to: 202 until the operation has ended, then 204, or the operation's error."""
    operation = operations.get(operation_id)
    if operation is None:
        raise not_found("Operation", operation_id)
    if operation["status"] == UNDER_WAY:
        return Response(status_code=202, headers=headers.began(operation_id, f"{family}Operation", location=True))
    if "error" in operation:
        raise Fault(400, operation["error"]["code"], operation["error"]["message"])
    return Response(status_code=204)
