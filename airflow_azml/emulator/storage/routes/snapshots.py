"""The content service: snapshots of project folders, which `snapshotrun` starts runs from."""

from __future__ import annotations

from typing import Any

from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, JsonObject, pick, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.storage.snapshots import Snapshots

older = router("/content/v1.0" + WORKSPACE_PATH + "/snapshots", REGIONAL)
routes = router("/content/v2.0" + WORKSPACE_PATH + "/snapshots", REGIONAL)


@older.get("/latest/metadata")
def latest_snapshot(snapshots: Engine[Snapshots]) -> dict[str, Any]:
    """Return the newest snapshot, which a client compares its folder with; an empty one in the beginning."""
    return _rendered(snapshots.latest())


@older.get("/{snapshot_id}/metadata")
@routes.get("/{snapshot_id}/metadata")
def get_snapshot(snapshot_id: str, snapshots: Engine[Snapshots]) -> dict[str, Any]:
    """Return a snapshot."""
    return _rendered(snapshots.get(snapshot_id))


@routes.post("/getblob")
def get_places(snapshots: Engine[Snapshots], base: Base, body: JsonObject) -> dict[str, Any]:
    """Return a URL to upload to for each file."""
    names = pick(body, "fileNames", default=[])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise bad_request("'fileNames' must be a list of names.", target="fileNames")
    return {"fileNodes": [{"fullName": name, "blobUri": snapshots.place(base, name)} for name in names]}


@routes.post("/{snapshot_id}")
def create_snapshot(snapshot_id: str, snapshots: Engine[Snapshots], body: JsonObject) -> dict[str, Any]:
    """Create a snapshot under the client's id from its tree and the files that it uploaded."""
    return _rendered(snapshots.create(snapshot_id, body))


@routes.post("/{snapshot_id}/zip")
def zip_snapshot(snapshot_id: str, snapshots: Engine[Snapshots], base: Base) -> dict[str, str]:
    """Return a URL to download the snapshot from as one zip."""
    return {"zipSasUri": snapshots.zip_url(snapshot_id, base)}


def _rendered(snapshot: Document) -> dict[str, Any]:
    return {name: value for name, value in snapshot.items() if name not in {"files", "ordinal"}}
