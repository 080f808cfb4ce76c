"""Snapshots: project folders that the workspace keeps, so that many runs can start from one upload.

The order of calls is that of Microsoft's own client: ask for a place per file, upload, then describe the tree.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, Unpack

from airflow_azml.client.files import blobs
from airflow_azml.client.files.bodies import chunks_of
from airflow_azml.client.files.project import COLLECTED, project_files
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.transport.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.client.files.project import ProjectFile, Which

CONTENT = "content/v2.0"


class Snapshots(Resource):
    """Upload folders as snapshots."""

    kind = "snapshots"

    def upload(self, folder: str | Path, **which: Unpack[Which]) -> str:
        """Upload a project folder and return the snapshot's id, for :meth:`Runs.start_snapshot`.

        A snapshot holds no permissions: a file that may be executed loses that, so call it by its interpreter.

        :param which: see :func:`project_files`; the folders of a run's results are excluded unless others are given.
        """
        which.setdefault("collected", COLLECTED)
        files = project_files(folder, **which)
        places = self._places(files)
        for file in files:
            blobs.upload(self.http, places[file.name], file.path, operation="upload snapshot")
        snapshot_id = str(uuid.uuid4())
        nodes = [{"FullName": file.name, "BlobUri": places[file.name], "FileSize": file.size} for file in files]
        body = {
            "ParentSnapshotId": None,
            "Tags": None,
            "Properties": {},
            "DirTreeNode": tree(files),
            "FileRevisionList": {"FileNodes": nodes},
        }
        url = self.regional(CONTENT, "snapshots", snapshot_id)
        self.http.request("POST", url, operation="create snapshot", json=body, retry="always")
        return snapshot_id

    def _places(self, files: tuple[ProjectFile, ...]) -> dict[str, str]:
        names = [file.name for file in files]
        answer = self.http.json(
            "POST", self.regional(CONTENT, "snapshots", "getblob"), operation="start snapshot upload",
            json={"FileNames": names}, retry="always",
        )  # fmt: skip
        places = {str(node["fullName"]): str(node["blobUri"]) for node in answer.get("fileNodes") or ()}
        if missing := [name for name in names if name not in places]:
            raise ServiceError(f"no place was given for {missing[0]}", operation="start snapshot upload")
        return places


def tree(files: tuple[ProjectFile, ...]) -> dict[str, Any]:
    """Return the folder as the Merkle tree that the service compares: SHA-512 of content, name and kind."""
    root = _folder("")
    for file in files:
        *folders, name = file.name.split("/")
        node = root
        for folder in folders:
            node = node["children"].setdefault(folder, _folder(folder))
        digest = hashlib.sha512()
        for chunk in chunks_of(file.path):
            digest.update(chunk)
        digest.update(f"{name}File".encode())
        node["children"][name] = {"name": name, "type": "File", "hash": digest.hexdigest(), "children": {}}
    _hash(root)
    return root


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "type": "Directory", "hash": "", "children": {}}


def _hash(node: dict[str, Any]) -> bytes:
    """Fill in the hashes of folders, each that of its children's, which come in the order of their names."""
    if node["type"] == "File":
        return bytes.fromhex(node["hash"])
    node["children"] = dict(sorted(node["children"].items()))
    digest = hashlib.sha512(b"".join(_hash(child) for child in node["children"].values()))
    node["hash"] = digest.hexdigest()
    return digest.digest()
