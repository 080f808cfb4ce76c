"""What route handlers ask for by type: the emulator, the request's own base URL, and the right to be here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from airflow_azml.emulator.host.emulator import Emulator
from airflow_azml.emulator.http.faults import Fault, plane_of
from airflow_azml.emulator.kernel import facts

API_VERSIONS = (
    "2018-11-19", "2019-05-01", "2019-06-01", "2019-11-01", "2020-04-01", "2020-06-01", "2020-08-01", "2021-01-01",
    "2021-04-01", "2021-07-01", "2022-02-01-preview", "2022-05-01", "2022-10-01", "2023-04-01", "2023-04-01-preview",
    "2023-08-01-preview", "2023-10-01", "2024-01-01-preview", "2024-04-01", "2024-07-01-preview", "2024-10-01",
    "2024-10-01-preview", "2025-01-01-preview", "2025-06-01", "2025-12-01",
)  # fmt: skip

KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}  # of requests, as Resource Manager counts them


def _world(request: Request) -> Emulator:
    emulator: Emulator = request.app.state.emulator
    return emulator


def base_url(request: Request) -> str:
    """Scheme and host as the caller sees them, so that every URL handed out leads back the same way."""
    return str(request.state.base)


def _claims(request: Request) -> dict[str, Any]:
    return _world(request).identity.check(request.headers.get("authorization"))


def _admitted(request: Request, claims: Claims) -> None:
    """Count the request, where requests are limited."""
    arm = plane_of(request.url.path) == "arm"
    kind = KINDS.get(request.method, "writes") if arm else "regional"
    throttle = _world(request).throttle
    if kind in throttle.limits:
        request.state.left = (kind, 0) if arm else None
        left = throttle.admit(kind, str(claims.get("oid")))
        request.state.left = (kind, left) if arm else None


def _api_version(request: Request) -> str:
    query = {name.casefold(): value for name, value in request.query_params.items()}
    version = query.get("api-version", "")
    if not version:
        raise Fault(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests. "
            f"The supported api-versions are '{', '.join(API_VERSIONS)}'.",
        )
    return version


def _workspace(request: Request) -> None:
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


World = Annotated[Emulator, Depends(_world)]
Base = Annotated[str, Depends(base_url)]
Claims = Annotated[dict[str, Any], Depends(_claims)]

# Dependencies of whole routers, in the order in which the service checks.
ARM = (Depends(_claims), Depends(_admitted), Depends(_api_version), Depends(_workspace))
REGIONAL = (Depends(_claims), Depends(_admitted), Depends(_workspace))
