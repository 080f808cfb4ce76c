"""The Airflow connection that leads to this emulator, ready to paste."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator import facts
from airflow_azml.emulator.identity import CLIENT_ID, CLIENT_SECRET

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "AIRFLOW_CONN_AZUREML_DEFAULT"
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to call a server that listens everywhere


def connection_line(host: str, port: int, tls_port: int | None, data: Path) -> str:
    """Return a shell assignment of the connection: over HTTPS when it is served, else over plain HTTP."""
    host = ANY_HOST.get(host, host)
    address = f"[{host}]" if ":" in host else host
    url = f"https://{address}:{tls_port}" if tls_port else f"http://{address}:{port}"
    ca_bundle = {"ca_bundle": str((data / "ca.pem").resolve())} if tls_port else {}
    return f"{VARIABLE}={shlex.quote(json.dumps(_connection(url, ca_bundle)))}"


def _connection(url: str, ca_bundle: dict[str, str]) -> dict[str, Any]:
    return {
        "conn_type": "azureml",
        "login": CLIENT_ID,
        "password": CLIENT_SECRET,
        "extra": {
            "cloud": "Custom",
            "authority_url": url,
            "resource_manager_url": url,
            **ca_bundle,
            "tenant_id": facts.TENANT,
            "subscription_id": facts.SUBSCRIPTION,
            "resource_group": facts.RESOURCE_GROUP,
            "workspace_name": facts.WORKSPACE,
        },
    }
