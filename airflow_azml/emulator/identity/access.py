"""Who may call: what is checked before a handler is called, in the order in which the service checks it."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from airflow_azml.emulator.control.throttle import Throttle
from airflow_azml.emulator.http import api_versions, audiences
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, plane_of
from airflow_azml.emulator.http.wire import FoldedQuery
from airflow_azml.emulator.identity.provider import IdentityProvider
from airflow_azml.emulator.kernel import facts

KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


def kind_of(method: str) -> str:
    """Return what Resource Manager counts a request as."""
    return KINDS.get(method, "writes")


def _caller_of(services: tuple[str, ...]) -> Any:
    """Return the dependency that checks the caller's token, which must be for one of the services."""

    async def check(request: Request, identity: Engine[IdentityProvider], base: Base) -> None:
        claims = identity.check(request.headers.get("authorization"))
        audiences.check(str(claims["aud"]), services, base)
        request.state.caller = str(claims.get("oid"))

    return Depends(check)


async def _admitted(request: Request, throttle: Engine[Throttle]) -> None:
    """Count the request, where requests are limited."""
    arm = plane_of(request.scope["path"]) == "arm"
    kind = kind_of(request.method) if arm else "regional"
    if kind in throttle.limits:
        request.state.left = 0
        request.state.left = throttle.admit(kind, request.state.caller)


async def _api_version(request: Request, query: FoldedQuery) -> None:
    api_versions.check(query.get("api-version", ""), request.scope["path"])


async def _workspace(request: Request) -> None:
    """Check the ids in the path, outermost first, as Resource Manager does."""
    path = request.path_params
    if path.get("subscription", facts.SUBSCRIPTION).casefold() != facts.SUBSCRIPTION:
        name = path["subscription"]
        raise Fault(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.", target=name)
    if path.get("group", facts.RESOURCE_GROUP).casefold() != facts.RESOURCE_GROUP:
        name = path["group"]
        raise Fault(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.", target=name)
    if path.get("workspace", facts.WORKSPACE).casefold() != facts.WORKSPACE:
        kind = "Microsoft.MachineLearningServices/workspaces"
        message = (
            f"The Resource '{kind}/{path['workspace']}' under resource group '{path['group']}' was not found. "
            "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        )
        raise Fault(404, "ResourceNotFound", message, target=path["workspace"])


# Dependencies of whole routers, in the order in which the service checks.
ARM = (_caller_of(audiences.ARM), Depends(_admitted), Depends(_api_version), Depends(_workspace))
REGIONAL = (_caller_of(audiences.REGIONAL), Depends(_admitted), Depends(_workspace))
