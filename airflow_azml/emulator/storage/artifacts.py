"""Artifacts: files by origin, container and path, as the artifact service knows them. They are blobs of one container.

A run's artifacts have the origin ExperimentRun and the container `dcid.{runId}`. An artifact exists once its blob does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_azml.emulator.storage.blobs import Blob, BlobStore

ORIGINS = ("ComputeRecord", "Dataset", "ExperimentRun", "LocalUpload", "Metric", "Unknown", "WebUpload")
DATASTORE = "workspaceartifactstore"
WRITE = "rcw"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an artifact, or a tree of artifacts, is.

    :param origin: one of ORIGINS.
    :param container: whose they are, as `dcid.{runId}`.
    :param path: path in the container; empty for all of it.
    """

    origin: str
    container: str
    path: str

    @property
    def name(self) -> str:
        """The artifact's id, which is its blob's name."""
        return f"{self.origin}/{self.container}/{self.path}".rstrip("/")

    def at(self, path: str) -> Address:
        """Return the address of another artifact of the same container."""
        return Address(self.origin, self.container, path)


def address(origin: str, container: str, path: str | None) -> Address:
    """Read an address; raise the service's 400 for an origin that it does not know."""
    known = next((name for name in ORIGINS if name.casefold() == origin.casefold()), None)
    if known is None:
        raise bad_request(f"'{origin}' is not an origin of artifacts.", target="origin")
    return Address(known, container, (path or "").strip("/"))


def find(blobs: BlobStore, where: Address) -> Blob | None:
    """Return the artifact's blob, or None."""
    _require_path(where)
    return blobs.find(facts.ARTIFACT_CONTAINER, where.name)


def get(blobs: BlobStore, where: Address) -> Blob:
    """Return the artifact's blob; the 404 of the service when there is none."""
    blob = find(blobs, where)
    if blob is None:
        raise Fault(404, "ArtifactNotFound", f"Artifact with id {where.name} was not found.", target=where.name)
    return blob


def tree(blobs: BlobStore, where: Address, after: str = "") -> Iterator[Address]:
    """Return the artifact at the path, or all below it, by path. A name is not a prefix of another name.

    :param after: only those whose paths come after this one.
    """
    if where.path and find(blobs, where):
        return iter([where] if where.path > after else [])
    root = f"{where.at('').name}/"
    found = blobs.list(facts.ARTIFACT_CONTAINER, f"{where.name}/", f"{root}{after}\0" if after else "")
    return (where.at(blob.name.removeprefix(root)) for blob in found)


def artifact_json(blobs: BlobStore, where: Address) -> dict[str, Any]:
    """Render an artifact as `Artifact` of the specification; one that is yet to be written has no etag and time."""
    rendered: dict[str, Any] = {
        "artifactId": where.name,
        "origin": where.origin,
        "container": where.container,
        "path": where.path,
        "dataPath": {"dataStoreName": DATASTORE, "relativePath": where.name},
    }
    if blob := find(blobs, where):
        rendered["etag"] = blob.etag
        rendered["createdTime"] = datetime.fromtimestamp(blob.modified, UTC).isoformat()
    return rendered


def content_json(blobs: BlobStore, where: Address, base: str, permissions: str = "r") -> dict[str, Any]:
    """Render where the content is, with a signature to read (or write) it: `ArtifactContentInformation`."""
    _require_path(where)
    blobs.path(facts.ARTIFACT_CONTAINER, where.name)  # refuses a name that leads out of the container
    return {
        "contentUri": blobs.sas(base, facts.ARTIFACT_CONTAINER, where.name, permissions),
        "origin": where.origin,
        "container": where.container,
        "path": where.path,
    }


def _require_path(where: Address) -> None:
    if not where.path:
        raise bad_request("The path of the artifact is required.", target="path")
