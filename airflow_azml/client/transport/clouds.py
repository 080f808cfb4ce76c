"""The Azure clouds as a table, and the one rule about where a bearer token may go.

A token is worth as much as the password it came from, so :meth:`Cloud.trusts` is called before every request that
carries one. Hosts that run code of customers (``*.inference.ml.azure.com``) belong to Azure, but they are not in the
table: they never receive an ARM token.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_azml.client.transport.errors import InputError

# urlsplit and urllib3 disagree on where the host ends when one of these is in it: such a URL is trusted by nobody.
_AMBIGUOUS = re.compile(r"[\s\\@\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Cloud:
    """The addresses of one Azure cloud.

    :param name: ``AzureCloud`` and its like, as ``az cloud list`` prints it.
    :param login: base URL of the token service.
    :param arm: base URL of Azure Resource Manager; its ``/.default`` is the token scope.
    :param ml_audience: audience of the few calls that need a token of Azure ML's own.
    :param studio: base URL of Azure ML studio.
    :param storage_suffix: what follows ``<account>.blob.`` in a storage host.
    :param trusted_suffixes: hosts (and their subdomains) that may be sent a bearer token.
    """

    name: str
    login: str
    arm: str
    ml_audience: str
    studio: str
    storage_suffix: str
    trusted_suffixes: tuple[str, ...]

    @property
    def arm_scope(self) -> str:
        """The scope of the token that both ARM and the regional data plane accept."""
        return f"{self.arm}/.default"

    @property
    def ml_scope(self) -> str:
        """The scope of Azure ML's own audience."""
        return f"{self.ml_audience}/.default"

    def trusts(self, url: str) -> bool:
        """Say whether a bearer token may be sent to the URL: a safe address, and a host of this cloud."""
        host = host_of(url)
        return is_safe(url) and any(host == suffix or host.endswith(f".{suffix}") for suffix in self.trusted_suffixes)


def is_safe(url: str) -> bool:
    """Say whether nobody on the way reads what is sent to the URL: https, or http that stays on this machine."""
    if not host_of(url):
        return False
    scheme = urlsplit(url).scheme
    return scheme == "https" or (scheme == "http" and is_loopback(host_of(url)))


def host_of(url: str) -> str:
    """Return the URL's host in lower case, empty when the URL has none or could be read in two ways."""
    try:
        parts = urlsplit(url)
        if _AMBIGUOUS.search(url.split("?", 1)[0].split("/", 3)[2]):
            return ""
        return (parts.hostname or "").rstrip(".")
    except (ValueError, IndexError):
        return ""


def is_loopback(host: str) -> bool:
    """Say whether the host is this machine by its very name."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            "AzureCloud",
            "https://login.microsoftonline.com",
            "https://management.azure.com",
            "https://ml.azure.com",
            "https://ml.azure.com",
            "core.windows.net",
            ("management.azure.com", "api.azureml.ms", "experiments.azureml.net", "modelmanagement.azureml.net"),
        ),
        Cloud(
            "AzureUSGovernment",
            "https://login.microsoftonline.us",
            "https://management.usgovcloudapi.net",
            "https://ml.azure.us",
            "https://ml.azure.us",
            "core.usgovcloudapi.net",
            (
                "management.usgovcloudapi.net",
                "api.ml.azure.us",
                "experiments.ml.azure.us",
                "modelmanagement.ml.azure.us",
            ),
        ),
        Cloud(
            "AzureChinaCloud",
            "https://login.chinacloudapi.cn",
            "https://management.chinacloudapi.cn",
            "https://ml.azure.cn",
            "https://ml.azure.cn",
            "core.chinacloudapi.cn",
            (
                "management.chinacloudapi.cn",
                "api.ml.azure.cn",
                "experiments.ml.azure.cn",
                "modelmanagement.ml.azure.cn",
            ),
        ),
    )
}


def cloud_named(name: str) -> Cloud:
    """Return a public cloud by its name."""
    try:
        return CLOUDS[name]
    except KeyError:
        raise InputError(
            "cloud", name, f"must be one of {', '.join(CLOUDS)}, or give login and arm hosts of a custom cloud"
        ) from None


def custom_cloud(
    *,
    login: str,
    arm: str,
    ml_audience: str = "https://ml.azure.com",
    studio: str = "https://ml.azure.com",
    storage_suffix: str = "core.windows.net",
    trusted_hosts: tuple[str, ...] = (),
) -> Cloud:
    """Describe a cloud that is not in the table: Azure Stack, or an Azure ML on this machine.

    :param login: base URL of its token service.
    :param arm: base URL of its resource manager.
    :param trusted_hosts: hosts, beside those of login and arm, that may be sent a bearer token; subdomains included.
    """
    for field, url in (("login", login), ("arm", arm)):
        if not is_safe(url):
            raise InputError(field, url, "must be an https URL (http only on this machine)")
    hosts = dict.fromkeys([host_of(login), host_of(arm), *(host.lower() for host in trusted_hosts)])
    return Cloud(
        "custom",
        login.rstrip("/"),
        arm.rstrip("/"),
        ml_audience.rstrip("/"),
        studio.rstrip("/"),
        storage_suffix,
        tuple(hosts),
    )
