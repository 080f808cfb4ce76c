"""Code assets (v2): a folder in the workspace's storage that a deployment or job runs.

The order of calls is that of Microsoft's own client: look by hash, ask for a place, upload, mark the upload, register.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Unpack

from airflow_azml.client.api_versions import ASSETS
from airflow_azml.client.files import blobs
from airflow_azml.client.files.bundle import content_hash
from airflow_azml.client.files.project import project_files
from airflow_azml.client.resources.resource import Resource

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.client.files.project import ProjectFile, Which

HASH_VERSION = 202208
"""Names the algorithm of :func:`airflow_azml.client.files.bundle.content_hash`, so that the service can compare."""
_FOLDER = "src"
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


class CodeAssets(Resource):
    """Upload folders of code."""

    kind = "code_assets"

    def upload(self, folder: str | Path, **which: Unpack[Which]) -> str:
        """Upload a folder, unless the workspace has it already, and return the ARM id of the code asset.

        Blobs hold no permissions: a file that may be executed loses that, so call it by its interpreter.

        :param which: see :func:`project_files`.
        """
        files = project_files(folder, **which)
        digest = content_hash(files)
        name = str(
            uuid.uuid5(_NAMESPACE, f"airflow-azml/{digest}")
        )  # the same folder, the same name: an upload that broke off is taken up
        return self._uploaded(name, digest) or self._upload(name, digest, files)

    def _uploaded(self, name: str, digest: str) -> str | None:
        params = {**ASSETS, "hash": digest, "hashVersion": HASH_VERSION}
        response = self.http.request(
            "GET", self.arm("codes", name, "versions"), operation="find code", params=params, allow=(404,)
        )
        rows = response.json().get("value") or [] if response.ok else []
        return str(rows[0]["id"]) if rows else None

    def _upload(self, name: str, digest: str, files: tuple[ProjectFile, ...]) -> str:
        url = self.arm("codes", name, "versions", "1")
        place = self.http.json(
            "POST", f"{url}/startPendingUpload", operation="start code upload", params=ASSETS,
            json={"pendingUploadType": "TemporaryBlobReference"}, retry="always",
        )["blobReferenceForConsumption"]  # fmt: skip
        places = [blobs.below(str(place["credential"]["sasUri"]), _FOLDER, file.name) for file in files]
        for file, target in zip(files, places, strict=True):
            blobs.upload(self.http, target, file.path, operation="upload code")
        marks = {"x-ms-meta-upload_status": "completed", "x-ms-meta-name": name, "x-ms-meta-version": "1"}
        self.http.request("PUT", f"{places[0]}&comp=metadata", operation="mark code upload", headers=marks, auth=None)
        properties = {
            "codeUri": f"{str(place['blobUri']).rstrip('/')}/{_FOLDER}",
            "isAnonymous": True,
            "properties": {"hash_sha256": digest, "hash_version": str(HASH_VERSION)},
        }
        asset = self.http.json("PUT", url, operation="create code", params=ASSETS, json={"properties": properties})
        return str(asset.get("id") or f"{self.workspace.arm_id}/codes/{name}/versions/1")
