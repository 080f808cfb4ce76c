"""Datastores: names for storage that the workspace may use.

Their secrets are never asked for: files go up and down by SAS URLs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.client import versions
from airflow_azml.client.names import check_asset_name
from airflow_azml.client.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARTIFACT_STORE = "workspaceartifactstore"
"""Where the artifact service keeps its files: ``{origin}/{container}/{path}``."""


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore.

    :param type: AzureBlob, AzureFile, AzureDataLakeGen2 ...
    :param account_name: storage account; empty where the type has none.
    :param container: container or file share in it.
    :param raw: the answer's JSON.
    """

    name: str
    type: str
    account_name: str
    container: str
    is_default: bool
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Datastore:
        """Read the service's JSON."""
        inner: Mapping[str, Any] = raw.get("properties") or {}
        return cls(
            name=str(raw.get("name") or ""),
            type=str(inner.get("datastoreType") or ""),
            account_name=str(inner.get("accountName") or ""),
            container=str(inner.get("containerName") or inner.get("fileShareName") or inner.get("filesystem") or ""),
            is_default=bool(inner.get("isDefault")),
            raw=raw,
        )

    def uri(self, path: str = "") -> str:
        """Return the URI by which jobs and models name a path in the datastore."""
        return f"azureml://datastores/{self.name}/paths/{path.lstrip('/')}"


class Datastores(Service):
    """List and read datastores."""

    def list(self) -> Iterator[Datastore]:
        """Yield all datastores of the workspace."""
        rows = self.http.pages("GET", self.arm("datastores"), operation="list datastores", params=versions.ASSETS)
        return (Datastore.parse(row) for row in rows)

    def get(self, name: str) -> Datastore:
        """Return a datastore; NotFoundError when there is none."""
        url = self.arm("datastores", check_asset_name(name, "datastore name"))
        return Datastore.parse(self.http.json("GET", url, operation="get datastore", params=versions.ASSETS))
