"""An Airflow connection read as settings of the client, and the clients of this process.

All that is wrong with a connection is said at once, before anything is sent. Which credential is used is the field
`credential`, or follows from what is given; one credential is never tried after another. A client is shared by every
task and trigger of the process that uses the same settings, so that tokens and routes are fetched once.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.transport.auth import TokenSource
    from airflow_azml.client.transport.clouds import Cloud

WORKSPACE_FIELDS = ("subscription_id", "resource_group", "workspace_name")
CUSTOM_CLOUD_FIELDS = ("authority_url", "resource_manager_url")
MORE_CUSTOM_CLOUD_FIELDS = ("ml_audience", "studio_url", "trusted_hosts")
CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "client_secret": ("tenant_id", "client_id", "client_secret"),
    "client_certificate": ("tenant_id", "client_id", "certificate"),
    "workload_identity": ("tenant_id", "client_id", "federated_token_file"),
    "managed_identity": (),
    "token": ("token",),
}
"""The fields that each credential needs."""
MSAL_CREDENTIALS = frozenset({"client_secret", "client_certificate", "workload_identity"})
"""Those that sign in at `authority_url`."""
APIS = ("v1", "v2")
# The credential of a connection that names none is the one it gives this field for, in this order. A managed identity
# has to be asked for.
TELLING_FIELDS = {
    "token": "token",
    "certificate": "client_certificate",
    "federated_token_file": "workload_identity",
}
# What Kubernetes and other platforms put into a pod that has a workload identity.
WORKLOAD_VARIABLES = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "federated_token_file": "AZURE_FEDERATED_TOKEN_FILE",
}
FIELDS = frozenset(
    {
        *("tenant_id", "credential", "certificate", "federated_token_file", "token", "cloud", "api", "ca_bundle"),
        *WORKSPACE_FIELDS,
        *CUSTOM_CLOUD_FIELDS,
        *MORE_CUSTOM_CLOUD_FIELDS,
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What a connection says.

    :param client_id: the connection's login: of a service principal, or of a user-assigned managed identity.
    :param client_secret: the connection's password: the client secret, or the passphrase of the certificate.
    :param credential: one of `CREDENTIALS`.
    :param certificate: PEM with certificate and private key, or the path of a file with it.
    :param federated_token_file: path of the file with the token of a workload identity.
    :param token: a bearer token.
    :param tenant_id: directory of the service principal.
    :param subscription_id: subscription of the workspace.
    :param resource_group: resource group of the workspace.
    :param workspace_name: the workspace.
    :param cloud: `AzureCloud`, `AzureUSGovernment`, `AzureChinaCloud` or `Custom`.
    :param authority_url: for `Custom`: the token authority.
    :param resource_manager_url: for `Custom`: Resource Manager.
    :param ml_audience: for `Custom`: audience of Azure ML's own tokens; the public cloud's when empty.
    :param studio_url: for `Custom`: Azure ML studio; the public cloud's when empty.
    :param trusted_hosts: for `Custom`: further hosts that may be sent a token, separated by commas.
    :param api: where models are registered: `v2` (Resource Manager) or `v1` (model management).
    :param ca_bundle: path of a PEM file to trust instead of the system's authorities.
    """

    client_id: str = ""
    client_secret: str = ""
    credential: str = "client_secret"
    certificate: str = ""
    federated_token_file: str = ""
    token: str = ""
    tenant_id: str = ""
    subscription_id: str = ""
    resource_group: str = ""
    workspace_name: str = ""
    cloud: str = "AzureCloud"
    authority_url: str = ""
    resource_manager_url: str = ""
    ml_audience: str = ""
    studio_url: str = ""
    trusted_hosts: str = ""
    api: Literal["v1", "v2"] = "v2"
    ca_bundle: str = ""

    @classmethod
    def read(cls, conn_id: str, login: str | None, password: str | None, extra: Mapping[str, Any]) -> Settings:
        """Read a connection's fields; raise InputError that names every field that is missing or unknown."""
        if unknown := sorted(extra.keys() - FIELDS):
            raise InputError(
                f"connection '{conn_id}'", rule=f"unknown extra {_list(unknown)}; it may have {_list(sorted(FIELDS))}"
            )
        given = {name: str(value).strip() for name, value in extra.items() if value is not None and value != ""}
        told = (credential for field, credential in TELLING_FIELDS.items() if field in given)
        given.setdefault("credential", next(told, "client_secret"))
        if login:
            given["client_id"] = login.strip()
        if given["credential"] == "workload_identity":
            given = {**_environment(), **given}
        settings = cls(client_secret=password or "", **given)  # type: ignore[arg-type]
        if wrong := settings.wrong():
            raise InputError(
                f"connection '{conn_id}'", rule=f"{'; '.join(wrong)}; correct it under Admin > Connections"
            )
        return settings

    def wrong(self) -> list[str]:
        """Say all that this connection has wrong, with the fields named as the connection form calls them."""
        faults = [f"{_list(missing)} missing"] if (missing := self.missing()) else []
        if self.credential not in CREDENTIALS:
            faults.append(f"credential '{self.credential}' must be one of {_list([*CREDENTIALS])}")
        if self.ca_bundle and not Path(self.ca_bundle).is_file():
            faults.append(f"ca_bundle '{self.ca_bundle}' is no file on this machine")
        if self.api not in APIS:
            faults.append(f"api {self.api!r}: must be 'v1' or 'v2'")
        return [*faults, *self._wrong_cloud()]

    def _wrong_cloud(self) -> Iterator[str]:
        from airflow_azml.client.transport.clouds import CLOUDS, is_safe  # noqa: PLC0415 - only when it is needed

        if self.cloud.casefold() != "custom":
            if self.cloud not in CLOUDS:
                yield f"cloud {self.cloud!r}: must be one of {', '.join(CLOUDS)} or Custom"
            return
        for field in CUSTOM_CLOUD_FIELDS:
            if (url := getattr(self, field)) and not is_safe(url):
                yield f"{field} '{url}': must be an https URL (http only on this machine)"
            elif url.lower().startswith("http:") and field == "authority_url" and self.credential in MSAL_CREDENTIALS:
                yield f"{field} '{url}': must be an https URL, msal needs it (start the emulator with --tls-port)"

    def missing(self) -> list[str]:
        """Name every field that this connection needs and lacks, as the connection form calls it."""
        needed = [*WORKSPACE_FIELDS, *CREDENTIALS.get(self.credential, ())]
        if self.cloud.casefold() == "custom":
            needed += CUSTOM_CLOUD_FIELDS
        shown = {"client_id": "login (client ID)", "client_secret": "password (client secret)"}
        return [shown.get(name, name) for name in needed if not getattr(self, name)]

    def client(self, on_secret: Callable[[str], None]) -> AzureMLClient:
        """Return this process's client for these settings."""
        with _lock:
            if self not in _clients:
                _clients[self] = self._new_client(on_secret)
            return _clients[self]

    def _new_client(self, on_secret: Callable[[str], None]) -> AzureMLClient:
        from airflow_azml.client.azureml import AzureMLClient  # noqa: PLC0415 - only when it is needed
        from airflow_azml.client.workspace import Workspace  # noqa: PLC0415 - likewise

        cloud, verify = self._cloud(), self.ca_bundle or True
        workspace = Workspace(self.subscription_id, self.resource_group, self.workspace_name)
        return AzureMLClient(
            workspace, self._tokens(cloud, verify), cloud, api=self.api, verify=verify, on_secret=on_secret
        )

    def _tokens(self, cloud: Cloud, verify: bool | str) -> TokenSource:
        from airflow_azml.client.transport import auth, credentials  # noqa: PLC0415 - only when they are needed

        principal = (self.tenant_id, self.client_id)
        match self.credential:
            case "token":
                return auth.StaticToken(self.token)
            case "managed_identity":
                return credentials.ManagedIdentity(self.client_id)
            case "workload_identity":
                return credentials.WorkloadIdentity(*principal, self.federated_token_file, cloud, verify=verify)
            case "client_certificate":
                passphrase = self.client_secret
                return credentials.ClientCertificate(
                    *principal, self.certificate, cloud, passphrase=passphrase, verify=verify
                )
            case _:
                return credentials.ClientSecret(*principal, self.client_secret, cloud, verify=verify)

    def _cloud(self) -> Cloud:
        from airflow_azml.client.transport.clouds import cloud_named, custom_cloud  # noqa: PLC0415 - only when it is needed

        if self.cloud.casefold() == "custom":
            optional = {"ml_audience": self.ml_audience, "studio": self.studio_url}
            return custom_cloud(
                login=self.authority_url,
                arm=self.resource_manager_url,
                trusted_hosts=tuple(host.strip() for host in self.trusted_hosts.split(",") if host.strip()),
                **{name: value for name, value in optional.items() if value},
            )
        return cloud_named(self.cloud)


_lock = threading.RLock()  # see Transport of the client
_clients: dict[Settings, AzureMLClient] = {}


def _environment() -> dict[str, str]:
    """Return what the environment knows of a workload identity."""
    return {name: os.environ[variable] for name, variable in WORKLOAD_VARIABLES.items() if os.environ.get(variable)}


def _list(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
