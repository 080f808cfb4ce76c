"""The Airflow connection that leads to this emulator, ready to paste.

Over HTTPS it signs in with client id and secret, as for the service. Over plain HTTP it has a token instead: msal talks
to no authority without TLS.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.identity.provider import IdentityProvider
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "AIRFLOW_CONN_AZUREML_DEFAULT"
TOKEN_LIFETIME = 365 * 24 * 3600  # seconds; the key that signs it is kept with the state
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to call a server that listens everywhere


def connection_line(host: str, port: int, tls_port: int | None, data: Path, client_secret: str = "") -> str:
    """Return a shell assignment of the connection: over HTTPS when it is served, else over plain HTTP."""
    address, identity = address_of(host), IdentityProvider(data, client_secret)
    if tls_port:
        connection = _over_tls(f"https://{address}:{tls_port}", data, identity)
    else:
        connection = _plain(f"http://{address}:{port}", identity)
    # Over plain HTTP: browsers do not know our certificate.
    connection["extra"]["studio_url"] = f"http://{address}:{port}"
    return f"{VARIABLE}={shlex.quote(json.dumps(connection))}"


def address_of(host: str) -> str:
    """Return what stands in URLs for the address that a server on this machine is bound to."""
    host = ANY_HOST.get(host, host)
    return f"[{host}]" if ":" in host else host


def _over_tls(url: str, data: Path, identity: IdentityProvider) -> dict[str, Any]:
    extra = {**_extra(url), "tenant_id": facts.TENANT, "ca_bundle": str((data / "ca.pem").resolve())}
    return {"conn_type": "azureml", "login": facts.CLIENT_ID, "password": identity.client_secret, "extra": extra}


def _plain(url: str, identity: IdentityProvider) -> dict[str, Any]:
    token = identity.sign(issuer=url, tenant=facts.TENANT, audience=url, lifetime=TOKEN_LIFETIME)
    return {"conn_type": "azureml", "extra": {**_extra(url), "token": token}}


def _extra(url: str) -> dict[str, str]:
    return {
        "cloud": "Custom",
        "authority_url": url,
        "resource_manager_url": url,
        "subscription_id": facts.SUBSCRIPTION,
        "resource_group": facts.RESOURCE_GROUP,
        "workspace_name": facts.WORKSPACE,
    }
