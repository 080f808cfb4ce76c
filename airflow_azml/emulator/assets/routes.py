"""Resource Manager's codes and environments."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.assets.versioned import Assets, Codes, Environments
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.asset_routes import Collection, asset_routes
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import JsonObject, pick_text
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage.blobs import BlobStore

if TYPE_CHECKING:
    from airflow_azml.emulator.http.asset_routes import Resource
    from airflow_azml.emulator.http.engines import Engines

UPLOAD = "TemporaryBlobReference"


class _Versioned:
    """The assets of one kind, as their routes ask for them.

    :param assets: the assets.
    :param deployments: what may be made of them: such assets are not deleted.
    """

    def __init__(self, assets: Assets, deployments: OnlineDeployments) -> None:
        self._assets, self._deployments = assets, deployments

    def containers(self) -> list[Resource]:
        return [self._assets.render_container(name) for name in self._assets.names()]

    def container(self, name: str) -> Resource:
        return self._assets.render_container(name)

    def delete_container(self, name: str) -> bool:
        return self._assets.delete(self._assets.versions(name), self._deployments.using)

    def versions(self, name: str, query: dict[str, str]) -> list[Resource]:
        """Return the versions; by hash all names are searched, because clients make up a name for each upload."""
        wanted = query.get("hash", "")
        found = self._assets.versions("" if wanted else name)
        hashed = [one for one in found if wanted in {"", one["spec"]["properties"].get("hash_sha256")}]
        return [self._assets.render(one) for one in hashed]

    def version(self, name: str, version: str) -> Resource:
        return self._assets.render(self._assets.get(name, version))

    def put(self, name: str, version: str, body: Resource) -> tuple[Resource, bool]:
        asset, new = self._assets.put(name, version, body)
        return self._assets.render(asset), new

    def delete(self, name: str, version: str) -> bool:
        found = self._assets.find(name, version)
        return self._assets.delete([found] if found else [], self._deployments.using)


def _codes(engines: Engines) -> _Versioned:
    return _Versioned(engines[Codes], engines[OnlineDeployments])


def _environments(engines: Engines) -> _Versioned:
    return _Versioned(engines[Environments], engines[OnlineDeployments])


codes = asset_routes(Collection("codes", "Code", _codes, views=False), ARM)
environments = asset_routes(Collection("environments", "Environment", _environments, again=201), ARM)


@codes.post("/{name}/versions/{version}/startPendingUpload")
def start_pending_upload(blobs: Engine[BlobStore], base: Base, body: JsonObject) -> dict[str, Any]:
    """Code Versions - Create Or Get Start Pending Upload: a container of its own and a signature to write to it."""
    kind = pick_text(body, "pendingUploadType", default=UPLOAD)
    if kind.casefold() != UPLOAD.casefold():
        raise bad_request(f"'pendingUploadType' must be {UPLOAD}.", target="pendingUploadType")
    container = str(uuid.uuid4())
    blobs.create_container(container)
    sas = blobs.sas(base, container, permissions="rcwl")
    reference = {
        "blobUri": sas.partition("?")[0],
        "storageAccountArmId": (
            f"/subscriptions/{facts.SUBSCRIPTION}/resourceGroups/{facts.RESOURCE_GROUP}"
            f"/providers/Microsoft.Storage/storageAccounts/{facts.STORAGE_ACCOUNT}"
        ),
        "credential": {"credentialType": "SAS", "sasUri": sas},
    }
    return {"blobReferenceForConsumption": reference, "pendingUploadId": container, "pendingUploadType": UPLOAD}
