"""Artifacts: the files that a run has written to ``outputs`` and ``logs``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_azml.client.errors import InputError, NotFoundError
from airflow_azml.client.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_azml.client.history import Run

ARTIFACT = "artifact/v2.0"
ORIGIN = "ExperimentRun"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a run.

    :param path: its path in the run, such as ``outputs/model.pkl``.
    :param raw: the answer's JSON.
    """

    path: str
    raw: Mapping[str, Any]


class Artifacts(Service):
    """List and download a run's files."""

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

    def download(self, run: Run, path: str, folder: str | Path) -> Path:
        """Stream a file of the run to the same path below a folder, and return where it is."""
        target = _target(Path(folder), clean(path))
        url = self.regional(ARTIFACT, "artifacts", ORIGIN, container_of(run), "contentinfo")
        info = self.http.json("GET", url, operation="find artifact", params={"path": clean(path)})
        target.parent.mkdir(parents=True, exist_ok=True)
        self.http.download(str(info["contentUri"]), target, operation="download artifact")
        return target

    def list(self, run: Run, prefix: str = "") -> Iterator[Artifact]:
        """Yield the run's files, all or those below a folder."""
        if not run.data_container_id:
            return
        url = self.regional(ARTIFACT, "artifacts", ORIGIN, container_of(run))
        for row in self.http.pages("GET", url, operation="list artifacts", token_parameter="continuationToken"):  # noqa: S106 - a name
            path = str(row.get("path") or "")
            if _is_below(path, prefix.strip("/")):
                yield Artifact(path, row)


def container_of(run: Run) -> str:
    """Return the container of a run's files."""
    if not run.data_container_id:
        raise NotFoundError(f"run {run.id} has no outputs (it is {run.status})", operation="find artifact")
    return run.data_container_id


def clean(path: str) -> str:
    """Return a path in a run in its one spelling, or raise InputError when it leads out of the run."""
    parts = PurePosixPath(path.replace("\\", "/").strip("/")).parts
    if not parts or ".." in parts:
        raise InputError("path", path, "must be a path below the run, such as outputs/model")
    return "/".join(parts)


def _is_below(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def _target(folder: Path, path: str) -> Path:
    """Join, and make sure that neither the path nor a link on the way leads out of the folder."""
    target = folder.resolve() / path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise InputError("path", path, f"leads out of {folder}")
    return target
