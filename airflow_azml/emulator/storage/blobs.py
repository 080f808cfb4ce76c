"""The storage account of the workspace: containers are folders, blobs are files, what else is known is in the store.

Engines read and write the files by `path()`; clients come over HTTP (routes.py). Who may do what stands in
blob_access.py. The rules are those of the Blob service REST API.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage.blob_access import signed_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_azml.emulator.kernel.store import Store

KIND = "blob"
CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
MAX_NAME, MAX_SEGMENT = 1024, 255  # the service's limit; the file system's
WORKING = ".uploads"  # no container can have this name


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as it is now.

    :param name: its name in the container.
    :param path: the file.
    :param size: bytes.
    :param modified: seconds since the epoch.
    :param etag: changes with every write.
    :param content_type: as uploaded, or guessed from the name.
    :param content_md5: as uploaded, in base64; empty when unknown.
    :param metadata: names and values that clients set.
    """

    name: str
    path: Path
    size: int
    modified: float
    etag: str
    content_type: str
    content_md5: str
    metadata: dict[str, str]


class BlobStore:
    """Containers and blobs on disk.

    :param root: folder that holds a folder per container.
    :param store: keeps metadata and content types.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self._root, self._store = root, store
        shutil.rmtree(root / WORKING, ignore_errors=True)  # what a killed emulator was receiving
        for name in (facts.ARTIFACT_CONTAINER, facts.BLOBSTORE_CONTAINER, WORKING):
            (root / name).mkdir(parents=True, exist_ok=True)

    def path(self, container: str, name: str = "") -> Path:
        """Return where a blob's (or a container's) file is or would be; refuse names that are none."""
        if not CONTAINER.fullmatch(container):
            raise Fault(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
        if not name:
            return self._root / container
        segments = name.split("/")
        wrong = any(part in {"", ".", ".."} or len(os.fsencode(part)) > MAX_SEGMENT for part in segments)
        if wrong or len(name) > MAX_NAME or "\0" in name:
            raise Fault(400, "InvalidUri", "The requested URI does not represent any resource on the server.")
        return self._root.joinpath(container, *segments)

    def sas(self, base: str, container: str, name: str = "", permissions: str = "r", hours: float = 8) -> str:
        """Return a URL with a shared access signature, for one blob or for the whole container."""
        return signed_url(base, container, name, permissions, hours)

    def folder(self, container: str) -> Path:
        """Return the container's folder; the 404 of the service when there is none."""
        path = self.path(container)
        if not path.is_dir():
            raise Fault(404, "ContainerNotFound", "The specified container does not exist.")
        return path

    def create_container(self, container: str) -> bool:
        """Create the container; tell whether it is new."""
        path = self.path(container)
        existed = path.is_dir()
        path.mkdir(exist_ok=True)
        return not existed

    def delete_container(self, container: str) -> None:
        """Delete the container and all its blobs."""
        shutil.rmtree(self.folder(container))

    def find(self, container: str, name: str) -> Blob | None:
        """Return the blob, or None; a name that ends in a slash is one, but no file can have it."""
        if name.endswith("/"):
            return None
        path = self.path(container, name)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not path.is_file():
            return None
        known = self._store.get(KIND, _key(container, name)) or {}
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Blob(
            name=name,
            path=path,
            size=status.st_size,
            modified=status.st_mtime,
            etag=f'"0x{status.st_mtime_ns:X}"',
            content_type=known.get("contentType") or guessed,
            content_md5=known.get("contentMd5") or "",
            metadata=known.get("metadata") or {},
        )

    def get(self, container: str, name: str) -> Blob:
        """Return the blob; the 404 of the service when there is none."""
        self.folder(container)
        blob = self.find(container, name)
        if blob is None:
            raise Fault(404, "BlobNotFound", "The specified blob does not exist.")
        return blob

    def list(self, container: str, prefix: str = "") -> list[Blob]:
        """Return the blobs whose names start with the prefix, in the order of their names."""
        root = self.folder(container)
        folder = prefix.rpartition("/")[0]
        start = self.path(container, folder) if folder else root
        files = (os.path.join(parent, file) for parent, _, names in os.walk(start) for file in names)  # noqa: PTH118 - os.walk gives text
        names = sorted(os.path.relpath(file, root).replace(os.sep, "/") for file in files)
        found = (self.find(container, name) for name in names if name.startswith(prefix))
        return [blob for blob in found if blob]

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """Hand out a file to write to; it is gone afterwards unless `commit` took it."""
        path = self._root / WORKING / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def commit(self, file: Path, container: str, name: str, **properties: Any) -> Blob:
        """Make the file the blob's content in one step.

        :param properties: `contentType`, `contentMd5`, `metadata`.
        """
        self.folder(container)
        path = self.path(container, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file.replace(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            message = f"'{name}' cannot be a blob beside one whose name is a folder of the other: they are files here."
            raise Fault(409, "ResourceTypeMismatch", message) from error
        self._store.put(KIND, _key(container, name), properties)
        return self.get(container, name)

    def write(self, container: str, name: str, content: bytes) -> Blob:
        """Write a small blob."""
        with self.upload() as file:
            file.write_bytes(content)
            return self.commit(file, container, name)

    def set_properties(self, container: str, name: str, **properties: Any) -> Blob:
        """Change `contentType`, `contentMd5` or `metadata`."""
        self.get(container, name)
        self._store.add(KIND, _key(container, name), {})
        with self._store.change(KIND, _key(container, name)) as known:
            known.update(properties)
        return self.get(container, name)

    def delete(self, container: str, name: str) -> None:
        """Delete the blob."""
        blob = self.get(container, name)
        blob.path.unlink()
        self._store.delete(KIND, _key(container, name))
        with suppress(OSError):  # folders are no resources of their own: they go with their last blob
            for parent in blob.path.relative_to(self.path(container)).parents[:-1]:
                (self.path(container) / parent).rmdir()

    # Blocks wait under a name of their own until a block list makes them a blob.

    def stage(self, file: Path, container: str, name: str, block_id: str) -> None:
        """Keep an uncommitted block."""
        self.folder(container)
        self.path(container, name)
        block = self._block(container, name, block_id)
        block.parent.mkdir(exist_ok=True)
        file.replace(block)

    def commit_blocks(self, container: str, name: str, block_ids: Sequence[str], **properties: Any) -> Blob:
        """Put the blob together from its uncommitted blocks, which are gone afterwards."""
        blocks = [self._block(container, name, block_id) for block_id in block_ids]
        if not all(block.is_file() for block in blocks):
            raise Fault(400, "InvalidBlockList", "The specified block list is invalid.")
        with self.upload() as file:
            with file.open("wb") as whole:
                for block in blocks:
                    with block.open("rb") as part:
                        shutil.copyfileobj(part, whole)
            blob = self.commit(file, container, name, **properties)
        shutil.rmtree(self._block(container, name, "").parent, ignore_errors=True)
        return blob

    def _block(self, container: str, name: str, block_id: str) -> Path:
        digest = hashlib.sha256(block_id.encode()).hexdigest()
        return self._root / WORKING / _key(container, name) / digest


def _key(container: str, name: str) -> str:
    """Blob names differ by case, the store's keys do not."""
    return hashlib.sha256(f"{container}/{name}".encode()).hexdigest()
