"""A snapshot as the store keeps it."""

from __future__ import annotations

from typing import Any, TypedDict

SNAPSHOT = "snapshot"


class Snapshot(TypedDict):
    """A tree of files; `files` says which blob each path is."""

    id: str
    parentSnapshotId: str
    tags: dict[str, str]
    properties: dict[str, str]
    createdTime: str
    root: dict[str, Any]
    files: dict[str, str]
    ordinal: int


MODELS = {SNAPSHOT: Snapshot}
