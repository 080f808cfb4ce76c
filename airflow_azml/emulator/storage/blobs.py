"""The storage account of the workspace: containers are folders, blobs are files, what else is known is in the store.

Engines read and write the files by `path()`; clients come over HTTP (routes/blobs.py). Who may do what stands in
blob_access.py, blocks that are no blob yet in blocks.py. The rules are those of the Blob service REST API, except for
names that no file can have: those are refused with a 501.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import shutil
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage import blob_names
from airflow_azml.emulator.storage.blob_access import signed_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_azml.emulator.kernel.store import Store

KIND = "blob"
CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
MAX_NAME, MAX_SEGMENT = 1024, 255  # the service's limit; the file system's
WORKING = ".uploads"  # no container can have this name
NOT_DONE = 501
LOCKS = 64  # more than there are requests at a time


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
    :param headers: further headers that clients set, as `Cache-Control`.
    :param metadata: names and values that clients set.
    :param blocks: ids and sizes of the blocks that it was put together from.
    """

    name: str
    path: Path
    size: int
    modified: float
    etag: str
    content_type: str
    content_md5: str
    headers: dict[str, str]
    metadata: dict[str, str]
    blocks: list[tuple[str, int]]


class BlobStore:
    """Containers and blobs on disk.

    :param root: folder that holds a folder per container.
    :param store: keeps metadata and content types.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self.root, self._store = root, store
        self._locks = [threading.RLock() for _ in range(LOCKS)]
        self._tree = threading.Lock()  # a folder must not go while a file is put into it
        shutil.rmtree(root / WORKING, ignore_errors=True)  # what a killed emulator was receiving
        for name in (facts.ARTIFACT_CONTAINER, facts.BLOBSTORE_CONTAINER, WORKING):
            (root / name).mkdir(parents=True, exist_ok=True)

    def path(self, container: str, name: str = "") -> Path:
        """Return where a blob's (or a container's) file is or would be; refuse names that are none."""
        if not CONTAINER.fullmatch(container):
            raise Fault(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
        if not name:
            return self.root / container
        segments = name.split("/")
        if len(name) > MAX_NAME or "\0" in name or not {".", ".."}.isdisjoint(segments):
            raise Fault(400, "InvalidUri", "The requested URI does not represent any resource on the server.")
        if not all(0 < len(os.fsencode(part)) <= MAX_SEGMENT for part in segments):
            raise _no_file(f"each part of '{name}' between slashes must have 1 to {MAX_SEGMENT} bytes")
        return self.root.joinpath(container, *segments)

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
        for blob in self.list(container):
            self._store.delete(KIND, key_of(container, blob.name))
        shutil.rmtree(self.folder(container))

    def find(self, container: str, name: str) -> Blob | None:
        """Return the blob, or None."""
        try:
            path = self.path(container, name)
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Fault as fault:
            if fault.status == NOT_DONE:
                return None  # no file can have this name, so there is none
            raise
        if not path.is_file():
            return None
        known = self._properties(container, name, status.st_mtime_ns)
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Blob(
            name=name,
            path=path,
            size=status.st_size,
            modified=status.st_mtime,
            etag=f'"0x{status.st_mtime_ns:X}"',
            content_type=known.get("contentType") or guessed,
            content_md5=known.get("contentMd5") or "",
            headers=known.get("headers") or {},
            metadata=known.get("metadata") or {},
            blocks=[(block_id, size) for block_id, size in known.get("blocks") or []],
        )

    def get(self, container: str, name: str) -> Blob:
        """Return the blob; the 404 of the service when there is none."""
        self.folder(container)
        blob = self.find(container, name)
        if blob is None:
            raise Fault(404, "BlobNotFound", "The specified blob does not exist.")
        return blob

    def list(self, container: str, prefix: str = "", start: str = "") -> Iterator[Blob]:
        """Return the blobs whose names start with the prefix, in the order of their names, as they are asked for.

        :param start: no name before this one; what comes before it is not looked at.
        """
        root = self.folder(container)
        folder = prefix.rpartition("/")[0]
        top = self.path(container, folder) if folder else root
        names = blob_names.below(top, f"{folder}/" if folder else "", prefix, start)
        found = (self.find(container, name) for name in names if _is_text(name))
        return (blob for blob in found if blob)

    # Writing. A blob has one writer at a time.

    def writing(self, container: str, name: str) -> threading.RLock:
        """Return the lock of a blob: who holds it can look at the blob and then write it."""
        return self._locks[int(hashlib.sha256(f"{container}/{name}".encode()).hexdigest(), 16) % LOCKS]

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """Hand out a file to write to; it is gone afterwards unless `commit` took it."""
        path = self.root / WORKING / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def commit(self, file: Path, container: str, name: str, **properties: Any) -> Blob:
        """Make the file the blob's content in one step.

        :param properties: `contentType`, `contentMd5`, `headers`, `metadata`, `blocks`.
        """
        self.folder(container)
        path = self.path(container, name)
        with self.writing(container, name):
            written = _later_than(path)
            os.utime(file, ns=(written, written))
            self._note(container, name, written, properties)
            try:
                with self._tree:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    file.replace(path)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                self._store.delete(KIND, key_of(container, name))
                raise _no_file(f"'{name}' is a folder with blobs in it, or one of its folders is a blob") from error
            return self.get(container, name)

    def write(self, container: str, name: str, content: bytes) -> Blob:
        """Write a small blob."""
        with self.upload() as file:
            file.write_bytes(content)
            return self.commit(file, container, name)

    def append(self, file: Path, container: str, name: str) -> Blob:
        """Append a file to a blob in place, all of it or nothing; the blob is created when there is none."""
        with self.writing(container, name):
            blob = self.find(container, name)
            if blob is None:
                return self.commit(file, container, name)
            with blob.path.open("ab") as whole, file.open("rb") as part:
                try:
                    shutil.copyfileobj(part, whole)
                except OSError:
                    whole.truncate(blob.size)
                    raise
            return self.set_properties(container, name, contentMd5="", blocks=[])

    def set_properties(self, container: str, name: str, **properties: Any) -> Blob:
        """Change `contentType`, `contentMd5`, `headers`, `metadata` or `blocks`: that is a write, too."""
        with self.writing(container, name):
            path, written = self.get(container, name).path, _later_than(self.path(container, name))
            known = self._properties(container, name, path.stat().st_mtime_ns)
            self._note(container, name, written, {**known, **properties})
            os.utime(path, ns=(written, written))
            return self.get(container, name)

    def _note(self, container: str, name: str, written: int, properties: dict[str, Any]) -> None:
        """Keep the properties of a file that is about to be written, beside those that hold until it is.

        :param written: the time of change that the file will have, by which its properties are known.
        """
        path = self.path(container, name)
        former = self._properties(container, name, path.stat().st_mtime_ns) if path.is_file() else {}
        self._store.put(KIND, key_of(container, name), {**properties, "written": written, "former": former})

    def _properties(self, container: str, name: str, written: int) -> dict[str, Any]:
        """Return what was said of the file that was changed at a time.

        The next file's are there before that file is: an emulator may be killed in between.
        """
        known = self._store.get(KIND, key_of(container, name)) or {}
        former = known.pop("former", {})
        return known if known.pop("written", written) == written else former

    def delete(self, container: str, name: str) -> None:
        """Delete the blob."""
        with self.writing(container, name):
            blob = self.get(container, name)
            blob.path.unlink()
            self._store.delete(KIND, key_of(container, name))
        with suppress(OSError), self._tree:  # folders are no resources of their own: they go with their last blob
            for parent in blob.path.relative_to(self.path(container)).parents[:-1]:
                (self.path(container) / parent).rmdir()


def key_of(container: str, name: str) -> str:
    """Return a key for a blob: blob names differ by case, the store's keys do not."""
    return hashlib.sha256(f"{container}/{name}".encode()).hexdigest()


def _later_than(path: Path) -> int:
    """Return the present time, or a little more, so that no file at the path had it before: it is the blob's ETag."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    return max(time.time_ns(), before + 1)


def _is_text(name: str) -> bool:
    """Tell whether a file's name is text; a script may have made one that is not."""
    return name.isprintable() or not any("\ud800" <= character <= "\udfff" for character in name)


def _no_file(reason: str) -> Fault:
    return Fault(NOT_DONE, "NotImplemented", f"The emulator keeps blobs as files: {reason}.")
