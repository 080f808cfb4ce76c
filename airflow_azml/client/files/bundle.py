"""The zip that a project folder is submitted as (v1), and the hash by which the service knows a folder.

The same folder gives the same bytes: sorted names, fixed times, and of the permissions only whether a file may be
executed. The zip goes to a temporary file, never into memory.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

from airflow_azml.client.files.bodies import chunks_of
from airflow_azml.client.files.project import COLLECTED, project_files
from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from airflow_azml.client.files.project import ProjectFile, Which

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""


def content_hash(files: tuple[ProjectFile, ...]) -> str:
    """Return the SHA-256 of names, sizes and contents as Microsoft's clients compute it (hash version 202208)."""
    digest = _hash_of_names(files)
    for file in files:
        for chunk in chunks_of(file.path):
            digest.update(chunk)
    return digest.hexdigest()


class Bundle:
    """A project folder as a zip in a temporary file, which is gone after ``with``.

    :param folder: the project; its files stand at the zip's root.
    :param which: see :func:`project_files`; the folders of a run's results are excluded unless others are given.
    """

    def __init__(self, folder: str | Path, **which: Unpack[Which]) -> None:
        which.setdefault("collected", COLLECTED)
        self.files = project_files(folder, **which)
        self.sha256 = ""
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """Where the zip is, within ``with``."""
        if self._path is None:
            raise InputError("bundle", None, "is made by 'with'")
        return self._path

    def __enter__(self) -> Self:
        handle, name = tempfile.mkstemp(prefix="azureml-", suffix=".zip")
        self._path = Path(name)
        with ExitStack() as undo:
            undo.callback(self.__exit__)
            target = undo.enter_context(os.fdopen(handle, "wb"))
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                self.sha256 = self._pack(archive)
            target.close()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _pack(self, archive: zipfile.ZipFile) -> str:
        """Copy every file into the archive and hash it on the way: each is read once."""
        digest = _hash_of_names(self.files)
        for file in self.files:
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            entry.file_size = file.size  # tells zipfile whether it needs the large format
            with archive.open(entry, "w") as target:
                for chunk in chunks_of(file.path):
                    digest.update(chunk)
                    target.write(chunk)
        return digest.hexdigest()


def _hash_of_names(files: tuple[ProjectFile, ...]) -> hashlib._Hash:
    digest = hashlib.sha256(str(len(files)).encode())
    for file in files:
        digest.update(f"#{file.name}#{file.size}".encode())
    return digest
