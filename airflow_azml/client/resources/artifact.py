"""Artifacts: the files that a run has written to ``outputs`` and ``logs``, and others that are uploaded beside them.

A run's script chooses the names of its files. So a download stays below its folder and within its limits.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_azml.client.files import blobs
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Value
from airflow_azml.client.transport.errors import InputError, NotFoundError, ServiceError
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_azml.client.resources.run_history import Run

ARTIFACT = "artifact/v2.0"
ORIGIN = "ExperimentRun"
LOCAL = "LocalUpload"
_BATCH = 500
"""Paths per request; no limit is published."""
MAX_BYTES, MAX_FILES = 50 << 30, 10_000
"""What is downloaded at most unless asked for: less than fills a worker's disk."""
_UNSAFE = re.compile(r"[\\\x00-\x1f\x7f]|^[A-Za-z]:")
"""Backslashes, control characters and drive letters: parts of a name here, of a path elsewhere."""


class Artifact(Value, frozen=True):
    """A file of a run.

    :param path: its path in the run, such as ``outputs/model.pkl``.
    """

    path: str = ""


class Artifacts(Resource):
    """List, download and upload a run's files, streamed."""

    kind = "artifacts"

    def exists(self, run: Run, path: str) -> bool:
        """Say whether the path is a file of the run, or a folder with files in it."""
        url = self.regional(
            ARTIFACT, "artifacts", "prefix", "contentinfo", ORIGIN, container_of(run), *clean(path).split("/")
        )
        try:
            found = self.http.json("GET", url, operation="find artifact").get("value") or []
        except NotFoundError:
            return False
        for row in found:
            self.http.signed(str(row.get("contentUri") or ""))
        return any(_is_below(str(row.get("path") or clean(path)), clean(path)) for row in found)

    def download(self, run: Run, path: str, folder: str | Path, *, max_bytes: int = MAX_BYTES) -> Path:
        """Stream a file of the run to the same path below a folder, and return where it is.

        :param max_bytes: InputError when it is larger.
        """
        return self._download(run, clean(path), Path(folder), 0, max_bytes)

    def download_all(self, run: Run, prefix: str, folder: str | Path, **limits: int) -> tuple[Path, ...]:
        """Stream the run's files below a prefix, or all of them, to a folder; limits as in :meth:`downloads`."""
        return tuple(file for _, file in self.downloads(run, prefix, folder, **limits))

    def downloads(
        self,
        run: Run,
        prefix: str,
        folder: str | Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_files: int = MAX_FILES,
    ) -> Iterator[tuple[str, Path]]:
        """Stream the run's files to the same paths below a folder; yield each path and its file as soon as it is there.

        Nothing is downloaded when there are too many, or when a path leads out of the folder or is the same as another
        on some file system: InputError.

        :param max_bytes: of all files together, as they are written; InputError when there are more.
        :param max_files: at most so many.
        """
        paths = [artifact.path for artifact in islice(self.list(run, prefix), max_files + 1)]
        if len(paths) > max_files:
            rule = f"run {run.id} has more files than that below '{prefix}': allow more, or name a folder with fewer"
            raise InputError("max_files", max_files, rule)
        check_paths(paths)
        received = 0
        for path in paths:
            file = self._download(run, path, Path(folder), received, max_bytes)
            received += file.stat().st_size
            yield path, file

    def upload(self, run: Run, source: str | Path, path: str) -> tuple[str, ...]:
        """Stream a file, or a folder's files, to a path of the run, such as ``outputs/report``; return their paths."""
        files = blobs.files_in(source)
        base = clean(path)
        single = Path(source).expanduser().is_file()
        paths = {base if single else f"{base}/{name}": file for name, file in files}
        self.put(ORIGIN, container_of(run), paths)
        return tuple(paths)

    def put(self, origin: str, container: str, files: Mapping[str, Path]) -> None:
        """Stream files to their paths in a container of the artifact service."""
        url = self.regional(ARTIFACT, "artifacts", origin, container, "batch", "metadata")
        paths = list(files)
        for start in range(0, len(paths), _BATCH):
            some = paths[start : start + _BATCH]
            body = {"paths": [{"path": path} for path in some]}
            places = self.http.json("POST", url, operation="start artifact upload", json=body, retry="always")
            for path in some:
                blobs.upload(self.http, _place(places, path), files[path], operation="upload artifact")

    def list(self, run: Run, prefix: str = "") -> Iterator[Artifact]:
        """Yield the run's files, all or those below a folder."""
        if not run.data_container_id:
            return
        url = self.regional(ARTIFACT, "artifacts", ORIGIN, container_of(run))
        for row in self.http.pages("GET", url, operation="list artifacts", token_parameter="continuationToken"):  # noqa: S106 - a name
            artifact = Artifact.of(row)
            if _is_below(artifact.path, prefix.strip("/")):
                yield artifact

    def _download(self, run: Run, path: str, folder: Path, received: int, max_bytes: int) -> Path:
        target = _target(folder, path)

        def check(size: int) -> None:
            if received + size > max_bytes:
                rule = f"bytes are not enough for the files of run {run.id}, up to {path}: allow more, or name fewer"
                raise InputError("max_bytes", max_bytes, rule)

        url = self.regional(ARTIFACT, "artifacts", ORIGIN, container_of(run), "contentinfo")
        info = self.http.json("GET", url, operation="find artifact", params={"path": path})
        target.parent.mkdir(parents=True, exist_ok=True)
        blobs.download(self.http, str(info["contentUri"]), target, operation="download artifact", check=check)
        return target


def _place(places: Mapping[str, Any], path: str) -> str:
    """Return the SAS URL that was given for a path, or raise the reason why none was."""
    info = (places.get("artifactContentInformation") or {}).get(path)
    if info is None:
        reason = Reason.of((places.get("errors") or {}).get(path) or {"message": "no place was given"})
        raise ServiceError(f"{path}: {reason.message}", operation="start artifact upload", code=reason.code)
    return str(info["contentUri"])


def container_of(run: Run) -> str:
    """Return the container of a run's files."""
    if not run.data_container_id:
        raise NotFoundError(f"run {run.id} has no outputs (it is {run.status})", operation="find artifact")
    return run.data_container_id


def clean(path: str) -> str:
    """Return a path in a run in its one spelling, or raise InputError when it leads out of the run."""
    parts = PurePosixPath(path.replace("\\", "/").strip("/")).parts
    if not parts or ".." in parts or _UNSAFE.search("/".join(parts)):
        raise InputError("path", path, "must be a path below the run, such as outputs/model")
    return "/".join(parts)


def check_paths(paths: Iterable[str]) -> None:
    """Raise InputError unless each path is one below its folder, and no two are one file, or file and folder.

    File systems fold names: case on most desktops, Unicode's forms on some. What they fold onto each other would
    silently be one file, written by whoever comes last.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        if _UNSAFE.search(path) or not {"", ".", ".."}.isdisjoint(parts):
            raise InputError("path", path, "the run has a file of this name, which may lead out of the folder: refused")
        folded = unicodedata.normalize("NFC", path).casefold()
        above = [folded[:end] for end, letter in enumerate(folded) if letter == "/"]
        if other := files.get(folded) or folders.get(folded) or next(filter(None, map(files.get, above)), None):
            raise InputError("path", path, f"is the same place as {other!r} on some file systems: download them apart")
        files[folded] = path
        folders.update(dict.fromkeys(above, path))


def _is_below(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def _target(folder: Path, path: str) -> Path:
    """Join, and make sure that neither the path nor a link on the way leads out of the folder."""
    target = folder.resolve() / path
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError("path", path, f"leads out of {folder}")
    return target
