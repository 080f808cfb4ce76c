"""Which service a token was asked for, and which of them each face of Azure ML takes.

Resource Manager refuses a token for any other service. The regional services take tokens for Resource Manager and for
Azure ML. Beside Azure's names, a service may be named by the address at which the emulator is reached.
"""

from __future__ import annotations

from airflow_azml.emulator.http.faults import Fault

RESOURCE_MANAGER = ("https://management.core.windows.net", "https://management.azure.com")
MACHINE_LEARNING = ("https://ml.azure.com",)
OTHERS = ("https://graph.microsoft.com", "https://storage.azure.com", "https://vault.azure.net")

ARM = RESOURCE_MANAGER
REGIONAL = (*RESOURCE_MANAGER, *MACHINE_LEARNING)
KNOWN = (*REGIONAL, *OTHERS)


def is_one_of(audience: str, services: tuple[str, ...], base: str) -> bool:
    """Tell whether an audience is one of the services, or the emulator at the address of the request."""
    return audience.removesuffix("/") in services or _host(audience) == _host(base)


def check(audience: str, services: tuple[str, ...], base: str) -> None:
    """Raise the 401 that Resource Manager answers unless the audience is one of the services."""
    if is_one_of(audience, services, base):
        return
    allowed = ",".join(f"'{service}/','{service}'" for service in services)
    message = (
        f"The access token has been obtained for wrong audience or resource '{audience}'. "
        f"It should exactly match with one of the allowed audiences {allowed}."
    )
    raise Fault(401, "InvalidAuthenticationTokenAudience", message)


def _host(url: str) -> str:
    """Return the host without its port: plain HTTP and HTTPS have different ones."""
    netloc = url.partition("://")[2].partition("/")[0].casefold()
    return netloc.partition("]")[0] if netloc.startswith("[") else netloc.partition(":")[0]
