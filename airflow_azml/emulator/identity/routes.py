"""The login host: token endpoints of the Microsoft identity platform, v1 and v2, and their discovery document.

An application proves itself by its secret or by a client assertion, of which assertions.py says what is checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.http import addresses
from airflow_azml.emulator.http.access import Base, World
from airflow_azml.emulator.http.wire import FoldedQuery, router
from airflow_azml.emulator.identity import assertions
from airflow_azml.emulator.identity.provider import LIFETIME, IdentityProvider
from airflow_azml.emulator.kernel import facts

routes = router()
Text = Annotated[str, Form()]


@routes.get("/common/discovery/instance")
def instance(base: Base, query: FoldedQuery) -> Response:
    """Whether an authority is one of this cloud's, under which names it is known, and where its configuration is."""
    host, _, path = query.get("authorization_endpoint", "").partition("://")[2].partition("/")
    aliases = _aliases(base)
    if host.casefold() not in aliases:
        return _refuse(400, "invalid_instance", 50049, "Unknown or invalid instance.")
    tenant, version = path.partition("/")[0] or "common", "v2.0/" if "/v2.0/" in path else ""
    configuration = f"{addresses.login(base)}/{tenant}/{version}.well-known/openid-configuration"
    if query.get("api-version") == "1.0":
        return JSONResponse({"tenant_discovery_endpoint": configuration})
    names = {"preferred_network": aliases[0], "preferred_cache": aliases[:2][-1], "aliases": aliases}
    return JSONResponse({"tenant_discovery_endpoint": configuration, "api-version": "1.1", "metadata": [names]})


def _aliases(base: str) -> list[str]:
    """Return the names of the login host: all that Azure has for it, or the emulator's own."""
    host = addresses.login(base).partition("://")[2]
    return list(addresses.LOGIN_ALIASES) if host == addresses.LOGIN else [host]


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
    client_assertion: Text = "",
    client_assertion_type: Text = "",
    scope: Text = "",
) -> Response:
    """Client credentials flow with a scope (`https://management.azure.com/.default`)."""
    audience = scope.removesuffix("/.default")
    proof = _Proof(client_secret, client_assertion, client_assertion_type, f"{base}/{tenant}/oauth2/v2.0/token")
    refusal = _refusal(world.identity, grant_type, client_id, proof, audience)
    if refusal:
        return refusal
    token = world.identity.sign(issuer=f"{base}/{_tenant(tenant)}/v2.0", tenant=_tenant(tenant), audience=audience)
    lifetime = LIFETIME
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
    client_assertion: Text = "",
    client_assertion_type: Text = "",
    resource: Text = "",
) -> Response:
    """Client credentials flow with a resource; its numbers are strings."""
    proof = _Proof(client_secret, client_assertion, client_assertion_type, f"{base}/{tenant}/oauth2/token")
    refusal = _refusal(world.identity, grant_type, client_id, proof, resource)
    if refusal:
        return refusal
    now, lifetime = int(time.time()), LIFETIME
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
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "NA",
        "cloud_instance_name": "microsoftonline.com",
    }


def _tenant(name: str) -> str:
    return facts.TENANT if name.casefold() in {"common", "organizations"} else name


@dataclass(frozen=True, slots=True)
class _Proof:
    """What an application shows to prove that it is the one, and where."""

    secret: str
    assertion: str
    assertion_type: str
    endpoint: str


def _refusal(
    identity: IdentityProvider, grant_type: str, client_id: str, proof: _Proof, audience: str
) -> Response | None:
    if grant_type != "client_credentials":
        return _refuse(400, "unsupported_grant_type", 70003, f"Unsupported grant type '{grant_type}'.")
    if client_id != facts.CLIENT_ID:
        return _refuse(
            400,
            "unauthorized_client",
            700016,
            f"Application '{client_id}' was not found in the directory.",
        )
    if unproven := _unproven(identity, client_id, proof):
        return unproven
    if not audience:
        return _refuse(400, "invalid_request", 900144, "The request body must contain 'scope' or 'resource'.")
    return None


def _unproven(identity: IdentityProvider, client_id: str, proof: _Proof) -> Response | None:
    if proof.assertion and proof.assertion_type == assertions.TYPE:
        try:
            assertions.check(proof.assertion, client_id=client_id, endpoint=proof.endpoint)
        except assertions.AssertionRefusedError as error:
            return _refuse(401, "invalid_client", error.number, error.reason)
        return None
    if not identity.knows(proof.secret):
        return _refuse(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent "
            "in the request is the client secret value, not the client secret ID.",
        )
    return None


def _refuse(status: int, error: str, number: int, text: str) -> Response:
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: {text}",
        "error_codes": [number],
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return JSONResponse(body, status_code=status)
