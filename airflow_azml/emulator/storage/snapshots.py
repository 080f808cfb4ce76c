"""Snapshots: project folders that the workspace keeps. A snapshot tells its whole tree, and uploads what is new in it.

The files of all snapshots are blobs of one container; a snapshot's document says which blob each of its paths is. The
tree is the client's own: a Merkle tree, so that the next snapshot can be compared with the latest one.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_azml.emulator.http.arm_resources import now
from airflow_azml.emulator.http.faults import Fault, bad_request, not_found
from airflow_azml.emulator.http.wire import pick, pick_object, pick_text, pick_texts
from airflow_azml.emulator.storage import datastores
from airflow_azml.emulator.storage.model import SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.storage.blobs import BlobStore

CONTAINER = "azureml-snapshots"
EMPTY_ID = str(uuid.UUID(int=0))
MAX_FILES, MAX_DEPTH = 20_000, 100
FOLDER, FILE = "directory", "file"
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Snapshots:
    """The snapshots of the workspace.

    :param store: where they are kept.
    :param blobs: where their files are.
    """

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store, self._blobs = store, blobs
        blobs.create_container(CONTAINER)

    def place(self, base: str, path: str) -> str:
        """Return a URL to write one file of a snapshot to."""
        name = f"{uuid.uuid4()}/{path}"
        self._blobs.path(CONTAINER, name)  # refuses a path that leads out of its folder
        return self._blobs.sas(base, CONTAINER, name, "rcw")

    def create(self, snapshot_id: str, body: dict[str, Any]) -> Document:
        """Keep a snapshot; one that is there already is returned as it is, for a client that asks twice."""
        if not ID.fullmatch(snapshot_id):
            raise bad_request(f"'{snapshot_id}' is not a UUID.", target="snapshotId")
        if found := self._store.get(SNAPSHOT, snapshot_id):
            return found
        root = _tree(pick_object(body, "dirTreeNode"))
        snapshot = {
            "id": snapshot_id,
            "parentSnapshotId": pick_text(body, "parentSnapshotId", default=EMPTY_ID),
            "tags": pick_texts(body, "tags"),
            "properties": pick_texts(body, "properties"),
            "createdTime": now(),
            "root": root,
            "files": self._files(root, body),
        }
        with self._store.put_or_change(SNAPSHOT, snapshot_id) as kept:
            if not kept:
                kept.update(snapshot, ordinal=self._store.next_number(SNAPSHOT))
            return kept

    def get(self, snapshot_id: str) -> Document:
        """Return a snapshot; the 404 of the service when there is none."""
        snapshot = self._store.get(SNAPSHOT, snapshot_id)
        if snapshot is None:
            raise not_found("Snapshot", snapshot_id)
        return snapshot

    def latest(self) -> Document:
        """Return the newest snapshot; an empty one when there is none yet."""
        empty = {"id": EMPTY_ID, "createdTime": now(), "root": _node("", FOLDER, "", now()), "ordinal": 0}
        return max([empty, *self._store.all(SNAPSHOT)], key=lambda snapshot: int(snapshot["ordinal"]))

    def zip(self, snapshot_id: str, path: Path) -> None:
        """Write a snapshot's files into a zip file."""
        files = self.get(snapshot_id)["files"]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files):
                archive.write(self._blobs.get(CONTAINER, files[name]).path, name)

    def zip_url(self, snapshot_id: str, base: str) -> str:
        """Return a URL to read a snapshot's zip file from."""
        name = f"{self.get(snapshot_id)['id']}.zip"
        if self._blobs.find(CONTAINER, name) is None:
            with self._blobs.upload() as file:
                self.zip(snapshot_id, file)
                self._blobs.commit(file, CONTAINER, name)
        return self._blobs.sas(base, CONTAINER, name)

    def _files(self, root: Document, body: dict[str, Any]) -> dict[str, str]:
        """Return the blob of each file of the tree: uploaded for this snapshot, or as it is in its parent."""
        known = self._files_of_parent(pick_text(body, "parentSnapshotId", default=EMPTY_ID))
        for node in _list(pick_object(body, "fileRevisionList"), "fileNodes"):
            known[pick_text(node, "fullName")] = self._uploaded(pick_text(node, "blobUri"))
        wanted = list(_paths(root))
        if len(wanted) > MAX_FILES:
            raise bad_request(f"The snapshot has {len(wanted)} files; at most {MAX_FILES} are allowed.")
        if missing := [path for path in wanted if path not in known]:
            raise bad_request(f"'{missing[0]}' was neither uploaded nor is it in the parent snapshot.")
        return {path: known[path] for path in wanted}

    def _files_of_parent(self, parent_id: str) -> dict[str, str]:
        return {} if parent_id == EMPTY_ID else dict(self.get(parent_id)["files"])

    def _uploaded(self, uri: str) -> str:
        container, name = datastores.locate(uri)
        if container != CONTAINER or self._blobs.find(container, name) is None:
            raise bad_request(f"Nothing was uploaded to '{unquote(urlsplit(uri).path)}'.", target="blobUri")
        return name


def _tree(node: dict[str, Any], depth: int = 0) -> Document:
    """Read a node of the tree: its children are a map by name; times that a client left out are filled in."""
    kind = pick_text(node, "type").casefold()
    name = pick_text(node, "name")
    if kind not in {FOLDER, FILE} or "/" in name or name in {".", ".."} or (depth and not name) or depth > MAX_DEPTH:
        raise bad_request(f"'{name}' is no node of a snapshot's tree.", target="dirTreeNode")
    read = _node(name, kind, pick_text(node, "hash", default=""), pick_text(node, "timestamp", default=now()))
    read["children"] = {
        child["name"]: child for child in (_tree(each, depth + 1) for each in pick_object(node, "children").values())
    }
    return read


def _node(name: str, kind: str, digest: str, timestamp: str) -> Document:
    return {"name": name, "type": kind.capitalize(), "hash": digest, "timestamp": timestamp, "children": {}}


def _paths(node: Document, above: str = "") -> Iterator[str]:
    for name, child in node["children"].items():
        if child["type"].casefold() == FILE:
            yield f"{above}{name}"
        else:
            yield from _paths(child, f"{above}{name}/")


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = pick(body, name, default=[])
    if not isinstance(value, list):
        raise Fault(400, "ValidationError", f"'{name}' must be a list.", target=name)
    return value
