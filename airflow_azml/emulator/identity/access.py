"""Who may call: what is checked before a handler is called, in the order in which the service checks it."""

from __future__ import annotations

from fastapi import Depends, Request

from airflow_azml.emulator.control.throttle import Throttle
from airflow_azml.emulator.http import api_versions, audiences
from airflow_azml.emulator.http.engines import engine
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.wire import folded_query
from airflow_azml.emulator.identity.provider import IdentityProvider
from airflow_azml.emulator.kernel import facts

KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


def kind_of(method: str) -> str:
    """Return what Resource Manager counts a request as."""
    return KINDS.get(method, "writes")


async def _arm(request: Request) -> None:
    """Admit a request to Resource Manager."""
    _check_caller(request, audiences.ARM)
    _count(request, kind_of(request.method))
    api_versions.check(folded_query(request).get("api-version", ""), request.scope["path"])
    _check_workspace(request)
    request.state.admitted = True  # what is refused from now on, Azure ML refuses, and not Resource Manager


async def _regional(request: Request) -> None:
    """Admit a request to a regional service."""
    _check_caller(request, audiences.REGIONAL)
    _count(request, "regional")
    _check_workspace(request)


def _check_caller(request: Request, services: tuple[str, ...]) -> None:
    """Check the caller's token, which must be for one of the services."""
    claims = engine(request, IdentityProvider).check(request.headers.get("authorization"))
    audiences.check(str(claims["aud"]), services, request.state.base)
    request.state.caller = str(claims.get("oid"))


def _count(request: Request, kind: str) -> None:
    """Take the request from its bucket, where requests are limited."""
    throttle = engine(request, Throttle)
    if kind in throttle.limits:
        request.state.left = 0
        request.state.left = throttle.admit(kind, request.state.caller)


def _check_workspace(request: Request) -> None:
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


# Dependencies of whole routers. Each is one function: FastAPI takes longer to follow dependencies than they take.
ARM = (Depends(_arm),)
REGIONAL = (Depends(_regional),)
