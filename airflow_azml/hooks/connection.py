"""An Airflow connection read as settings of the client, and the clients of this process.

All mistakes in a connection are reported together, before anything is sent. The field `credential` chooses the
credential, or the fields that have a value; no second credential is tried. Tasks and triggers of a process that use the
same settings share a client, so that tokens and routes are fetched once.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import threading
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport import auth
from airflow_azml.client.transport.clouds import CLOUDS, cloud_named, custom_cloud, is_safe
from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_azml.client.transport.auth import TokenSource
    from airflow_azml.client.transport.clouds import Cloud

log = logging.getLogger(__name__)

WORKSPACE_FIELDS = {
    "subscription_id": "subscriptions",
    "resource_group": "resourcegroups",
    "workspace_name": "workspaces",
}
"""The fields that name the workspace, each with the word that stands before it in a resource id."""
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
AUTO = "auto"
"""Instead of a credential: the one that follows from what is given, as when none is named."""
APIS = ("v1", "v2")
NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")
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
STANDARD_FIELDS = {"client_id": "login (client ID)", "client_secret": "password (client secret)"}
FIELDS = frozenset(
    {
        *("tenant_id", "credential", "certificate", "federated_token_file", "token", "cloud", "api", "ca_bundle"),
        "namespace",
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
    :param namespace: name of this Airflow, among those that use the workspace. It does not make another client.
    :param unknown: warnings about unknown keys. They do not make another client either.
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
    namespace: str = field(default="", compare=False)
    unknown: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def read(cls, conn_id: str, login: str | None, password: str | None, extra: Mapping[str, Any]) -> Settings:
        """Read a connection's fields; raise InputError that names every field that is missing or wrong.

        An unknown key is ignored with a warning: a newer version of this provider may know it.
        """
        unknown = tuple(_unknown(name) for name in sorted(extra.keys() - FIELDS))
        for text in unknown:
            _warn(f"connection '{conn_id}': {text}")
        known = extra.keys() & FIELDS
        given = {name: str(extra[name]).strip() for name in known if extra[name] is not None and extra[name] != ""}
        if given.get("credential") == AUTO:
            del given["credential"]
        told = (credential for field, credential in TELLING_FIELDS.items() if field in given)
        given.setdefault("credential", next(told, "client_secret"))
        if login:
            given["client_id"] = login.strip()
        if given["credential"] == "workload_identity":
            given = {**_environment(), **given}
        settings = cls(client_secret=password or "", unknown=unknown, **given)  # type: ignore[arg-type]
        if wrong := settings.wrong():
            said = "; ".join([*wrong, *unknown])
            raise InputError(f"connection '{conn_id}'", rule=f"{said}; correct it under Admin > Connections")
        return settings

    def wrong(self) -> list[str]:
        """List all mistakes in this connection, with the fields named as in the connection form."""
        faults = [f"{_list(missing)} missing"] if (missing := self.missing()) else []
        faults += self._ids_for_names()
        if self.credential not in CREDENTIALS:
            faults.append(f"credential '{self.credential}' must be one of {_list([AUTO, *CREDENTIALS])}")
        if self.token.casefold().startswith("bearer "):
            faults.append("token: begins with 'Bearer '; give the token alone, without this word")
        if self.ca_bundle and not Path(self.ca_bundle).is_file():
            faults.append(f"ca_bundle '{self.ca_bundle}' is no file on this machine")
        if self.api not in APIS:
            faults.append(f"api {self.api!r}: must be 'v1' or 'v2'")
        if self.namespace and not NAMESPACE.fullmatch(self.namespace):
            faults.append(f"namespace '{self.namespace}': must be at most 64 letters, digits, '-', '_' or '.'")
        return [*faults, *self._wrong_cloud()]

    def _ids_for_names(self) -> Iterator[str]:
        """Yield the names of the workspace that are resource ids instead, and the name to write."""
        for name, level in WORKSPACE_FIELDS.items():
            value = getattr(self, name)
            if "/" in value:
                parts = value.strip("/").split("/")
                found = {key.casefold(): part for key, part in pairwise(parts)}.get(level)
                write = f"write '{found}'" if found else "write the name alone"
                yield f"{name} '{value}': is a resource id or a path, not a name; {write}"

    def _wrong_cloud(self) -> Iterator[str]:
        if self.cloud.casefold() != "custom":
            if self.cloud not in CLOUDS:
                yield f"cloud {self.cloud!r}: must be one of {', '.join(CLOUDS)} or Custom"
            return
        if self.studio_url and not self.studio_url.lower().startswith(("https://", "http://")):
            yield f"studio_url '{self.studio_url}': must be an http or https URL"
        for name in CUSTOM_CLOUD_FIELDS:
            if (url := getattr(self, name)) and not is_safe(url):
                yield f"{name} '{url}': must be an https URL (http only on this machine)"
            elif url.lower().startswith("http:") and name == "authority_url" and self.credential in MSAL_CREDENTIALS:
                yield f"{name} '{url}': must be an https URL, msal needs it (start the emulator with --tls-port)"

    def missing(self) -> list[str]:
        """Return the fields that this connection needs and lacks, named as in the connection form."""
        needed = [*WORKSPACE_FIELDS, *CREDENTIALS.get(self.credential, ())]
        if self.cloud.casefold() == "custom":
            needed += CUSTOM_CLOUD_FIELDS
        return [STANDARD_FIELDS.get(name, name) for name in needed if not getattr(self, name)]

    def client(self, on_secret: Callable[[str], None]) -> AzureMLClient:
        """Return this process's client for these settings."""
        with _lock:
            if self not in _clients:
                _clients[self] = self._new_client(on_secret)
            return _clients[self]

    def _new_client(self, on_secret: Callable[[str], None]) -> AzureMLClient:
        cloud, verify = self._cloud(), self.ca_bundle or True
        workspace = Workspace(self.subscription_id, self.resource_group, self.workspace_name)
        return AzureMLClient(
            workspace, self._tokens(cloud, verify), cloud, api=self.api, verify=verify, on_secret=on_secret
        )

    def _tokens(self, cloud: Cloud, verify: bool | str) -> TokenSource:
        from airflow_azml.client.transport import credentials  # noqa: PLC0415 - loads msal and requests: not before a client is made

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
        if self.cloud.casefold() == "custom":
            optional = {"ml_audience": self.ml_audience, "studio": self.studio_url}
            return custom_cloud(
                login=self.authority_url,
                arm=self.resource_manager_url,
                trusted_hosts=tuple(host.strip() for host in self.trusted_hosts.split(",") if host.strip()),
                **{name: value for name, value in optional.items() if value},
            )
        return cloud_named(self.cloud)


def _unknown(name: str) -> str:
    """Say that a key of the extra is unknown, and name the nearest known one."""
    bare = name.rpartition("__")[2].casefold().replace("-", "_")  # Airflow 2 wrote extra__azureml__tenant_id
    if field_of_form := STANDARD_FIELDS.get(bare):
        return f"unknown extra '{name}' is ignored; it belongs into the field {field_of_form}"
    near = difflib.get_close_matches(bare, FIELDS, n=1)
    return f"unknown extra '{name}' is ignored" + (f"; did you mean '{near[0]}'?" if near else "")


@cache
def _warn(text: str) -> None:
    """Warn once in this process: a triggerer reads a connection for each of its triggers."""
    log.warning("%s", text)


_lock = threading.RLock()  # see Transport of the client
_clients: dict[Settings, AzureMLClient] = {}


def _environment() -> dict[str, str]:
    """Return the fields of a workload identity that the environment has."""
    return {name: os.environ[variable] for name, variable in WORKLOAD_VARIABLES.items() if os.environ.get(variable)}


def _list(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
