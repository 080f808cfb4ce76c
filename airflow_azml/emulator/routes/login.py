"""The login host: token endpoints of the Microsoft identity platform, v1 and v2, and their discovery document."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator import facts, identity
from airflow_azml.emulator.access import Base, World
from airflow_azml.emulator.wire import router

routes = router()
Text = Annotated[str, Form()]


@routes.get("/{tenant}/v2.0/.well-known/openid-configuration")
def openid_configuration_v2(tenant: str, base: Base) -> dict[str, Any]:
    """Where the v2 endpoints are."""
    return _configuration(base, tenant, "/v2.0")


@routes.get("/{tenant}/.well-known/openid-configuration")
def openid_configuration(tenant: str, base: Base) -> dict[str, Any]:
    """Where the v1 endpoints are."""
    return _configuration(base, tenant, "")


@routes.get("/{tenant}/discovery/v2.0/keys")
@routes.get("/{tenant}/discovery/keys")
def keys(tenant: str, world: World) -> dict[str, Any]:  # noqa: ARG001 - one key for all tenants
    """The keys that tokens are signed with."""
    return world.identity.keys()


@routes.post("/{tenant}/oauth2/v2.0/token")
def token_v2(
    tenant: str,
    world: World,
    base: Base,
    grant_type: Text = "",
    client_id: Text = "",
    client_secret: Text = "",
    scope: Text = "",
) -> Response:
    """Client credentials flow with a scope (`https://management.azure.com/.default`)."""
    audience = scope.removesuffix("/.default")
    refusal = _refusal(grant_type, client_id, client_secret, audience)
    if refusal:
        return refusal
    token = world.identity.sign(issuer=f"{base}/{_tenant(tenant)}/v2.0", tenant=_tenant(tenant), audience=audience)
    lifetime = identity.LIFETIME
    return JSONResponse(
        {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
    )


@routes.post("/{tenant}/oauth2/token")
def token_v1(
    tenant: str,
    world: World,
    base: Base,
    grant_type: Text = "",
    client_id: Text = "",
    client_secret: Text = "",
    resource: Text = "",
) -> Response:
    """Client credentials flow with a resource; its numbers are strings."""
    refusal = _refusal(grant_type, client_id, client_secret, resource)
    if refusal:
        return refusal
    now, lifetime = int(time.time()), identity.LIFETIME
    token = world.identity.sign(issuer=f"{base}/{_tenant(tenant)}/", tenant=_tenant(tenant), audience=resource)
    return JSONResponse(
        {
            "token_type": "Bearer",
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "expires_on": str(now + lifetime),
            "not_before": str(now),
            "resource": resource,
            "access_token": token,
        }
    )


def _configuration(base: str, tenant: str, version: str) -> dict[str, Any]:
    root = f"{base}/{tenant}"
    return {
        "issuer": f"{base}/{_tenant(tenant)}{version or '/'}",
        "authorization_endpoint": f"{root}/oauth2{version}/authorize",
        "token_endpoint": f"{root}/oauth2{version}/token",
        "jwks_uri": f"{root}/discovery{version}/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "NA",
        "cloud_instance_name": "microsoftonline.com",
    }


def _tenant(name: str) -> str:
    return facts.TENANT if name.casefold() in {"common", "organizations"} else name


def _refusal(grant_type: str, client_id: str, client_secret: str, audience: str) -> Response | None:
    if grant_type != "client_credentials":
        return _refuse(400, "unsupported_grant_type", 70003, f"Unsupported grant type '{grant_type}'.")
    if client_id != identity.CLIENT_ID:
        return _refuse(
            400,
            "unauthorized_client",
            700016,
            f"Application '{client_id}' was not found in the directory.",
        )
    if client_secret != identity.CLIENT_SECRET:
        return _refuse(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent "
            "in the request is the client secret value, not the client secret ID.",
        )
    if not audience:
        return _refuse(400, "invalid_request", 900144, "The request body must contain 'scope' or 'resource'.")
    return None


def _refuse(status: int, error: str, number: int, text: str) -> Response:
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: {text}",
        "error_codes": [number],
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return JSONResponse(body, status_code=status)
