"""The login host: token endpoints of the Microsoft identity platform, v1 and v2, and their discovery document.

An application proves itself by its secret or by a client assertion, of which assertions.py says what is checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Form, Request

from airflow_azml.emulator.http import addresses, audiences
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.wire import FoldedQuery, router
from airflow_azml.emulator.identity import assertions, refusals
from airflow_azml.emulator.identity.provider import LIFETIME, IdentityProvider
from airflow_azml.emulator.identity.refusals import SignInError
from airflow_azml.emulator.kernel import facts

routes = router()
Text = Annotated[str, Form()]
DEFAULT = "/.default"


@routes.get("/common/discovery/instance")
def instance(base: Base, query: FoldedQuery) -> dict[str, Any]:
    """Whether an authority is one of this cloud's, under which names it is known, and where its configuration is."""
    host, _, path = query.get("authorization_endpoint", "").partition("://")[2].partition("/")
    aliases = _aliases(base)
    if host.casefold() not in aliases:
        raise SignInError("invalid_instance", 50049, "Unknown or invalid instance.")
    tenant, version = path.partition("/")[0] or "common", "v2.0/" if "/v2.0/" in path else ""
    configuration = f"{addresses.login(base)}/{tenant}/{version}.well-known/openid-configuration"
    if query.get("api-version") == "1.0":
        return {"tenant_discovery_endpoint": configuration}
    names = {"preferred_network": aliases[0], "preferred_cache": aliases[:2][-1], "aliases": aliases}
    return {"tenant_discovery_endpoint": configuration, "api-version": "1.1", "metadata": [names]}


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
def keys(tenant: str, identity: Engine[IdentityProvider]) -> dict[str, Any]:
    """The keys that tokens are signed with."""
    _tenant(tenant, "invalid_tenant")
    return identity.keys()


def _sign_in(
    tenant: str,
    identity: Engine[IdentityProvider],
    request: Request,
    base: Base,
    grant_type: Text = "",
    client_id: Text = "",
    client_secret: Text = "",
    client_assertion: Text = "",
    client_assertion_type: Text = "",
) -> str:
    """Check the application that signs in, and return the id of its tenant."""
    tenant_id = _tenant(tenant)
    proof = _Proof(client_secret, client_assertion, client_assertion_type, f"{base}{request.url.path}")
    _check_client(identity, grant_type, client_id, proof)
    return tenant_id


Tenant = Annotated[str, Depends(_sign_in)]


@routes.post("/{tenant}/oauth2/v2.0/token")
def token_v2(identity: Engine[IdentityProvider], base: Base, tenant_id: Tenant, scope: Text = "") -> dict[str, Any]:
    """Client credentials flow with a scope (`https://management.azure.com/.default`)."""
    audience = scope.removesuffix(DEFAULT)
    if scope and not scope.endswith(DEFAULT):
        raise refusals.wrong_scope(scope)
    _check_resource(audience, "scope", base)
    token = identity.sign(issuer=f"{base}/{tenant_id}/v2.0", tenant=tenant_id, audience=audience)
    return {"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token}


@routes.post("/{tenant}/oauth2/token")
def token_v1(identity: Engine[IdentityProvider], base: Base, tenant_id: Tenant, resource: Text = "") -> dict[str, Any]:
    """Client credentials flow with a resource; its numbers are strings."""
    _check_resource(resource, "resource", base)
    now = int(time.time())
    return {
        "token_type": "Bearer",
        "expires_in": str(LIFETIME),
        "ext_expires_in": str(LIFETIME),
        "expires_on": str(now + LIFETIME),
        "not_before": str(now),
        "resource": resource,
        "access_token": identity.sign(issuer=f"{base}/{tenant_id}/", tenant=tenant_id, audience=resource),
    }


def _configuration(base: str, tenant: str, version: str) -> dict[str, Any]:
    root = f"{base}/{tenant}"
    return {
        "issuer": f"{base}/{_tenant(tenant, 'invalid_tenant')}{version or '/'}",
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


def _tenant(name: str, error: str = "invalid_request") -> str:
    """Return the id of the tenant that a path names; refuse all but the one that is here."""
    if name.casefold() in {facts.TENANT, "common", "organizations"}:
        return facts.TENANT
    raise refusals.unknown_tenant(name, error)


@dataclass(frozen=True, slots=True)
class _Proof:
    """What an application shows to prove that it is the one, and where."""

    secret: str
    assertion: str
    assertion_type: str
    endpoint: str


def _check_client(identity: IdentityProvider, grant_type: str, client_id: str, proof: _Proof) -> None:
    if grant_type != "client_credentials":
        raise SignInError("unsupported_grant_type", 70003, f"Unsupported grant type '{grant_type}'.")
    if client_id != facts.CLIENT_ID:
        raise refusals.unknown_client(client_id)
    if proof.assertion and proof.assertion_type == assertions.TYPE:
        assertions.check(proof.assertion, client_id=client_id, endpoint=proof.endpoint)
    elif not identity.knows(proof.secret):
        raise refusals.wrong_secret(client_id)


def _check_resource(resource: str, parameter: str, base: str) -> None:
    if not resource:
        raise refusals.missing(parameter)
    if not audiences.is_one_of(resource, audiences.KNOWN, base):
        raise refusals.unknown_resource(resource, facts.TENANT)
