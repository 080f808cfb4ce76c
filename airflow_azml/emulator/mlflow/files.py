"""The artifacts of a run as MLflow lists them: one level of the tree at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.storage import artifacts

if TYPE_CHECKING:
    from airflow_azml.emulator.storage.artifacts import Address
    from airflow_azml.emulator.storage.blobs import BlobStore


def children(blobs: BlobStore, where: Address) -> list[dict[str, Any]]:
    """Return the files and folders directly below an address, as MLflow's FileInfo; a file has none below it."""
    found: dict[str, dict[str, Any]] = {}
    root = f"{where.path}/" if where.path else ""
    for one in artifacts.tree(blobs, where):
        if one.path == where.path:
            continue
        name, deeper, _ = one.path[len(root) :].partition("/")
        size = {} if deeper else {"file_size": artifacts.get(blobs, one).size}
        found[name] = {"path": name, "is_dir": bool(deeper), **size}
    return list(found.values())
