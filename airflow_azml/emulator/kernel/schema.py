"""The store's file: its tables, the version of what stands in them, and how a file of an older version is brought up.

`PRAGMA user_version` keeps the version. Version 0 is what emulators wrote before there were versions.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from airflow_azml.emulator.kernel.state import StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, key TEXT NOT NULL COLLATE NOCASE, body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
OTHER_FOLDER = "choose another folder with --data, or remove this one to begin anew"


def opened(path: Path) -> sqlite3.Connection:
    """Open the file, make it when absent, and bring it to the present version.

    Raises StateError for what is no such file, is damaged, or was written by a newer emulator.
    """
    try:
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        database.executescript(TABLES)
        _migrate(database, path)
    except sqlite3.Error as error:
        reason = " ".join(str(error).split())
        raise StateError(f"{path} cannot be read as the emulator's store ({reason}): {OTHER_FOLDER}") from error
    return database


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        known = f"this one knows versions up to {len(MIGRATIONS)}"
        raise StateError(f"{path} has version {version} of a newer emulator; {known}: {OTHER_FOLDER}")
    for number, migration in enumerate(MIGRATIONS[version:], version + 1):
        database.execute("BEGIN IMMEDIATE")
        migration(database)
        database.execute(f"PRAGMA user_version={number}")
        database.execute("COMMIT")


def _name_the_resources_of_operations(database: sqlite3.Connection) -> None:
    """Version 1: a change lists its operations, and each operation names its resource."""
    for kind, key, body in database.execute("SELECT kind, key, body FROM documents").fetchall():
        document = _read(body)
        change = document.get("change")
        if not isinstance(change, dict):
            continue
        if "operation" in change:
            change["operations"] = [change.pop("operation")]
            _write(database, kind, key, document)
        for operation_id in change.get("operations", []):
            row = database.execute("SELECT body FROM documents WHERE kind='operation' AND key=?", (operation_id,))
            for (found,) in row.fetchall():
                _write(database, "operation", operation_id, {**_read(found), "kind": kind, "key": key})


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_name_the_resources_of_operations,)


def _read(body: str) -> dict[str, object]:
    """Return a document; an empty one for a row that holds none, which is set aside later."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _write(database: sqlite3.Connection, kind: str, key: str, document: dict[str, object]) -> None:
    database.execute("UPDATE documents SET body=? WHERE kind=? AND key=?", (json.dumps(document), kind, key))
