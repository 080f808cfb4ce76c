"""Where a caller finds the faces of the service: beside each other, or under Azure's own host names.

URLs lead back the way the caller came (`base_url`). A caller that came by one of Azure's own names is
given Azure's names: there is a proxy in between that knows them all, and Microsoft's clients take some of them apart.
A run comes by a name of its own, and is given a name of the storage account that these clients can take apart.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Request

from airflow_azml.emulator.kernel import facts

LOGIN, RESOURCE_MANAGER, STUDIO = "login.microsoftonline.com", "management.azure.com", "ml.azure.com"
LOGIN_ALIASES = (LOGIN, "login.windows.net", "login.microsoft.com", "sts.windows.net")
REGIONAL = f"{facts.LOCATION}.api.azureml.ms"
BLOBS = f"{facts.STORAGE_ACCOUNT}.blob.core.windows.net"
SCORING = f"{facts.LOCATION}.inference.ml.azure.com"
INSIDE, BLOBS_INSIDE = "azureml.localhost", f"{facts.STORAGE_ACCOUNT}.blob.localhost"
OF_AZURE = re.compile(
    r"login\.microsoftonline\.com|management\.azure\.com|ml\.azure\.com"
    r"|[\w-]+\.(?:api\.azureml\.ms|blob\.core\.windows\.net|[\w-]+\.inference\.ml\.azure\.com)",
    re.ASCII | re.IGNORECASE,
)


def login(base: str) -> str:
    """Return the address of the identity provider."""
    return _at(LOGIN, base) or base


def resource_manager(base: str) -> str:
    """Return the address of Resource Manager."""
    return _at(RESOURCE_MANAGER, base) or base


def regional(base: str) -> str:
    """Return the address of the regional services."""
    return _at(REGIONAL, base) or base


def studio(base: str) -> str:
    """Return the address of the studio."""
    return _at(STUDIO, base) or base


def blobs(base: str) -> str:
    """Return the address of the storage account, by host or by path."""
    scheme, _, host = base.partition("://")
    name, colon, port = host.partition(":")
    if name.casefold() == INSIDE:
        return f"{scheme}://{BLOBS_INSIDE}{colon}{port}"
    return _at(BLOBS, base) or f"{base}/_blob/{facts.STORAGE_ACCOUNT}"


def scoring(base: str, endpoint: str) -> str:
    """Return the address of an online endpoint, by host or by path."""
    return _at(f"{endpoint}.{SCORING}", base) or f"{base}/_score/{endpoint}"


def _at(host: str, base: str) -> str:
    """Return the address at one of Azure's hosts, if the caller came by one of them."""
    scheme, _, came = base.partition("://")  # not urlsplit: a header may say anything
    return f"{scheme}://{host}" if OF_AZURE.fullmatch(came) else ""


async def base_url(request: Request) -> str:
    """Scheme and host as the caller sees them, so that every URL handed out leads back the same way."""
    return str(request.state.base)


Base = Annotated[str, Depends(base_url)]
