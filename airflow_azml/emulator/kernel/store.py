"""What the emulator remembers: JSON documents in SQLite, addressed by kind and key.

Keys compare without regard to case, as Azure's resource names do. Every write is committed before it returns, so that
a killed emulator comes back with all it had answered for.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Document = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, key TEXT NOT NULL COLLATE NOCASE, body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
LAST_CHARACTER = "\U0010ffff"
VARIABLES_PER_QUERY = 500  # SQLite's own limit was 999 for long


class AbsentError(KeyError):
    """There is no such document."""


class Store:
    """Documents by kind and key, safe to use from many threads.

    :param path: the SQLite file; made when absent.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(SCHEMA)

    def get(self, kind: str, key: str) -> Document | None:
        """Return a fresh copy of the document, or None."""
        return self.get_many(kind, [key]).get(key)

    def get_many(self, kind: str, keys: Iterable[str]) -> dict[str, Document]:
        """Return the documents that exist, under the keys as they were asked for."""
        asked: dict[bytes, list[str]] = {}
        for key in keys:
            asked.setdefault(_folded(key), []).append(key)
        wanted = [spellings[0] for spellings in asked.values()]
        found: dict[str, Document] = {}
        for start in range(0, len(wanted), VARIABLES_PER_QUERY):
            chunk = wanted[start : start + VARIABLES_PER_QUERY]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT key, body FROM documents WHERE kind=? AND key IN ({marks})"  # noqa: S608 - only marks
            for key, body in self._rows(query, (kind, *chunk)):
                found |= {spelling: json.loads(body) for spelling in asked[_folded(key)]}
        return found

    def put(self, kind: str, key: str, document: Document) -> Document:
        """Write the document over whatever was there and return it."""
        with self._lock:
            self._database.execute(
                "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body=excluded.body",
                (kind, key, json.dumps(document)),
            )
        return document

    def add(self, kind: str, key: str, document: Document) -> bool:
        """Write the document unless the key exists; tell whether it was written."""
        with self._lock:
            cursor = self._database.execute(
                "INSERT OR IGNORE INTO documents VALUES (?, ?, ?)", (kind, key, json.dumps(document))
            )
            return cursor.rowcount == 1

    @contextmanager
    def change(self, kind: str, key: str) -> Iterator[Document]:
        """Hand out the document for changing in place and write it back if it changed; nobody else writes meanwhile.

        Raises AbsentError when there is none.
        """
        with self._lock:
            document = self.get(kind, key)
            if document is None:
                raise AbsentError(kind, key)
            before = json.dumps(document)
            yield document
            if json.dumps(document) != before:
                self.put(kind, key, document)

    def delete(self, kind: str, key: str) -> bool:
        """Delete the document; tell whether it existed."""
        with self._lock:
            return self._database.execute("DELETE FROM documents WHERE kind=? AND key=?", (kind, key)).rowcount == 1

    def all(self, kind: str, prefix: str = "") -> list[Document]:
        """Return every document of the kind whose key starts with the prefix, in the order of the keys."""
        query = "SELECT key, body FROM documents WHERE kind=? AND key>=? AND key<? ORDER BY key"  # a range of the index
        return [json.loads(body) for _, body in self._rows(query, (kind, prefix, prefix + LAST_CHARACTER))]

    def next_number(self, name: str) -> int:
        """Return 1, 2, 3, ... for each name; never the same twice, also after a restart."""
        with self._lock:
            row = self._database.execute(
                "INSERT INTO sequences VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value=value+1 RETURNING value",
                (name,),
            ).fetchone()
            return int(row[0])

    def close(self) -> None:
        """Close the database file."""
        with self._lock:
            self._database.close()

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[str, str]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def _folded(key: str) -> bytes:
    """Fold as SQLite's NOCASE does: ASCII letters only."""
    return key.encode().lower()
