"""Datastores: names for storage that the workspace may use.

Their secrets are never asked for: files go up and down by SAS URLs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_azml.client.names import check_asset_name
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

ARTIFACT_STORE = "workspaceartifactstore"
"""Where the artifact service keeps its files: ``{origin}/{container}/{path}``."""


class Datastore(Value, frozen=True):
    """A datastore.

    :param type: AzureBlob, AzureFile, AzureDataLakeGen2 ...
    :param account_name: storage account; empty where the type has none.
    """

    levels = 1
    name: str = ""
    type: str = msgspec.field(default="", name="datastoreType")
    account_name: str = ""
    is_default: bool = False
    container_name: str = ""
    file_share_name: str = ""
    filesystem: str = ""

    @property
    def container(self) -> str:
        """The container, file share or file system in the account."""
        return self.container_name or self.file_share_name or self.filesystem

    def uri(self, path: str = "") -> str:
        """Return the URI by which jobs and models name a path in the datastore."""
        return f"azureml://datastores/{self.name}/paths/{path.lstrip('/')}"


class Datastores(Resource):
    """List and read datastores."""

    kind = "datastores"

    def get(self, name: str) -> Datastore:
        """Return a datastore; NotFoundError when there is none."""
        return Datastore.of(self.read(self.arm("datastores", check_asset_name(name, "datastore name"))))

    def list(self) -> Iterator[Datastore]:
        """Yield all datastores of the workspace."""
        return map(Datastore.of, self.rows(self.arm("datastores")))
