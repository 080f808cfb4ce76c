"""An Airflow connection read as settings of the client, and the clients of this process.

All that is wrong with a connection is said at once, before anything is sent. A client is shared by every task and
trigger of the process that uses the same settings, so that tokens and routes are fetched once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.client.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.clouds import Cloud

WORKSPACE_FIELDS = ("subscription_id", "resource_group", "workspace_name")
CUSTOM_CLOUD_FIELDS = ("authority_url", "resource_manager_url")
FIELDS = frozenset({"tenant_id", "cloud", "api", "token", "ca_bundle", *WORKSPACE_FIELDS, *CUSTOM_CLOUD_FIELDS})


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What a connection says.

    :param client_id: the connection's login.
    :param client_secret: the connection's password.
    :param token: a bearer token, instead of the two.
    :param tenant_id: directory of the service principal.
    :param subscription_id: subscription of the workspace.
    :param resource_group: resource group of the workspace.
    :param workspace_name: the workspace.
    :param cloud: `AzureCloud`, `AzureUSGovernment`, `AzureChinaCloud` or `Custom`.
    :param authority_url: for `Custom`: the token authority.
    :param resource_manager_url: for `Custom`: Resource Manager.
    :param api: where models are registered: `v2` (Resource Manager) or `v1` (model management).
    :param ca_bundle: path of a PEM file to trust instead of the system's authorities.
    """

    client_id: str = ""
    client_secret: str = ""
    token: str = ""
    tenant_id: str = ""
    subscription_id: str = ""
    resource_group: str = ""
    workspace_name: str = ""
    cloud: str = "AzureCloud"
    authority_url: str = ""
    resource_manager_url: str = ""
    api: Literal["v1", "v2"] = "v2"
    ca_bundle: str = ""

    @classmethod
    def read(cls, conn_id: str, login: str | None, password: str | None, extra: Mapping[str, Any]) -> Settings:
        """Read a connection's fields; raise InputError that names every field that is missing or unknown."""
        if unknown := sorted(extra.keys() - FIELDS):
            raise InputError(
                f"connection '{conn_id}'", rule=f"unknown extra {_list(unknown)}; it may have {_list(sorted(FIELDS))}"
            )
        given = {name: str(value).strip() for name, value in extra.items() if value not in {None, ""}}
        settings = cls(client_id=(login or "").strip(), client_secret=password or "", **given)  # type: ignore[arg-type]
        if missing := settings.missing():
            raise InputError(
                f"connection '{conn_id}'", rule=f"{_list(missing)} missing; fill in under Admin > Connections"
            )
        return settings

    def missing(self) -> list[str]:
        """Name every field that this connection needs and lacks, as the connection form calls it."""
        needed = [*WORKSPACE_FIELDS]
        if not self.token:
            needed += ["tenant_id", "client_id", "client_secret"]
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
        from airflow_azml.client import auth  # noqa: PLC0415 - requests and msal are not loaded before the first call
        from airflow_azml.client.azureml import AzureMLClient  # noqa: PLC0415 - likewise
        from airflow_azml.client.workspace import Workspace  # noqa: PLC0415 - likewise

        cloud, verify = self._cloud(), self.ca_bundle or True
        tokens: auth.TokenSource = (
            auth.StaticToken(self.token)
            if self.token
            else auth.ClientSecret(self.tenant_id, self.client_id, self.client_secret, cloud, verify=verify)
        )
        workspace = Workspace(self.subscription_id, self.resource_group, self.workspace_name)
        return AzureMLClient(workspace, tokens, cloud, api=self.api, verify=verify, on_secret=on_secret)

    def _cloud(self) -> Cloud:
        from airflow_azml.client.clouds import cloud_named, custom_cloud  # noqa: PLC0415 - only when it is needed

        if self.cloud.casefold() == "custom":
            return custom_cloud(login=self.authority_url, arm=self.resource_manager_url)
        return cloud_named(self.cloud)


_lock = threading.Lock()
_clients: dict[Settings, AzureMLClient] = {}


def _list(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
