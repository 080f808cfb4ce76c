"""Which hosts the emulator answers for, so that no web page can reach it from a browser on this machine.

A page may let its own name resolve to 127.0.0.1 (DNS rebinding) and then read what is answered: such a name is not
known here. A page of another host may send requests whose answers it cannot read: these carry its `Origin`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from airflow_azml.emulator.http.addresses import OF_AZURE
from airflow_azml.emulator.http.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The hosts that the emulator answers for: loopback, Azure's own names, and those that it is told.

    :param names: further host names and addresses, in lower case and without a port.
    :param any_address: answer under every IP address; needed where the emulator listens on a network.
    :param trust_forwarded: believe `X-Forwarded-Host` and `X-Forwarded-Proto`; only where a proxy sets them.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False
    trust_forwarded: bool = False

    @classmethod
    def of_server(cls, bound: str, allowed: Iterable[str], *, trust_forwarded: bool) -> KnownHosts:
        """Return what holds for a server that is bound to an address, or to the address of a name."""
        names = frozenset(name.casefold() for name in (bound, *allowed))
        return cls(names, any_address=not _is_loopback(bound), trust_forwarded=trust_forwarded)

    def base_url(self, scope: MutableMapping[str, Any]) -> str:
        """Return scheme and host as the caller sees them; raise a 403 for an unknown host or a foreign origin."""
        headers, scheme = Headers(scope=scope), str(scope["scheme"])
        host = self._known(", ".join(headers.getlist("host")))
        if self.trust_forwarded:
            host = self._known(_first(headers.get("x-forwarded-host", host)))
            scheme = {"http": "http", "https": "https"}.get(_first(headers.get("x-forwarded-proto", scheme)), scheme)
        for origin in headers.getlist("origin"):
            if origin.partition("://")[2].casefold() != host.casefold():
                raise Fault(403, "OriginNotAllowed", f"The emulator takes no requests from web pages of '{origin}'.")
        return f"{scheme}://{host}"

    def _known(self, host: str) -> str:
        match = HOST.fullmatch(host)
        name = match[1].strip("[]").casefold() if match else ""
        if name in self.names or OF_AZURE.fullmatch(name) or _is_loopback(name):
            return host
        if self.any_address and _address(name):
            return host
        remedy = f"if it is a name of this machine, start the emulator with --allow-host {name or 'NAME'}"
        raise Fault(403, "HostNotAllowed", f"The emulator does not answer for the host '{host}': {remedy}.")


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _first(value: str) -> str:
    """Return the value of the proxy that is nearest to the caller."""
    return value.partition(",")[0].strip()
