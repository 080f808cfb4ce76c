"""What the emulator remembers: JSON documents in SQLite, addressed by kind and key.

Keys compare without regard to case, as Azure's resource names do. What is written in one `transaction` is there as a
whole or not at all, and it is there before anybody is told of it: a killed emulator comes back with all it answered.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_azml.emulator.kernel import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)
Document = dict[str, Any]
Moment = Literal["before", "after"]  # of a commit

LAST_CHARACTER = "\U0010ffff"
VARIABLES_PER_QUERY = 500  # SQLite's own limit was 999 for long


class AbsentError(KeyError):
    """There is no such document."""


class Store:
    """Documents by kind and key, safe to use from many threads.

    A thread that is in a transaction must not wait for a lock: who holds that lock may wait for the store.

    :param path: the SQLite file; made when absent. Raises StateError when it cannot be used.
    :param on_commit: called before and after each commit that changes something.
    """

    def __init__(self, path: Path, on_commit: Callable[[Moment], None] = lambda _: None) -> None:
        self._lock = threading.RLock()
        self._on_commit = on_commit
        self.watchers: list[Callable[[], object]] = []
        """Called after each commit that changes something."""
        self._database = schema.opened(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one step of all that is written meanwhile; an exception undoes it. An inner one is part of the outer."""
        with self._lock:
            if self.in_transaction:
                yield
                return
            changes = self._database.total_changes
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                changed = self._database.total_changes > changes
                if changed:
                    self._on_commit("before")
                self._database.execute("COMMIT")
            except BaseException:  # SystemExit, too: a transaction that stays open would keep everybody out
                if self.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            if changed:
                self._on_commit("after")
                for watcher in self.watchers:
                    watcher()

    @property
    def in_transaction(self) -> bool:
        """Tell whether the calling thread is in a transaction (any other thread waits until there is none)."""
        with self._lock:
            return self._database.in_transaction

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
        query = "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body=excluded.body"
        with self.transaction():
            self._database.execute(query, (kind, key, json.dumps(document)))
        return document

    def add(self, kind: str, key: str, document: Document) -> bool:
        """Write the document unless the key exists; tell whether it was written."""
        with self.transaction():
            query = "INSERT OR IGNORE INTO documents VALUES (?, ?, ?)"
            return self._database.execute(query, (kind, key, json.dumps(document))).rowcount == 1

    @contextmanager
    def change(self, kind: str, key: str) -> Iterator[Document]:
        """Hand out the document for changing in place; what is written meanwhile is one transaction with the change.

        Raises AbsentError when there is none.
        """
        with self.transaction():
            document = self.get(kind, key)
            if document is None:
                raise AbsentError(kind, key)
            yield from self._write_changed(kind, key, document)

    @contextmanager
    def put_or_change(self, kind: str, key: str) -> Iterator[Document]:
        """Like `change`; where there is no document, an empty one is handed out for filling."""
        with self.transaction():
            yield from self._write_changed(kind, key, self.get(kind, key) or {})

    def _write_changed(self, kind: str, key: str, document: Document) -> Iterator[Document]:
        before = json.dumps(document)
        yield document
        if json.dumps(document) != before:
            self.put(kind, key, document)

    def delete(self, kind: str, key: str) -> bool:
        """Delete the document; tell whether it existed."""
        with self.transaction():
            return self._database.execute("DELETE FROM documents WHERE kind=? AND key=?", (kind, key)).rowcount == 1

    def all(self, kind: str, prefix: str = "") -> list[Document]:
        """Return every document of the kind whose key starts with the prefix, in the order of the keys."""
        query = "SELECT key, body FROM documents WHERE kind=? AND key>=? AND key<? ORDER BY key"  # a range of the index
        return [json.loads(body) for _, body in self._rows(query, (kind, prefix, prefix + LAST_CHARACTER))]

    def next_number(self, name: str) -> int:
        """Return 1, 2, 3, ... for each name; never the same twice, also after a restart."""
        query = "INSERT INTO sequences VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value=value+1 RETURNING value"
        with self.transaction():
            return int(self._database.execute(query, (name,)).fetchone()[0])

    def set_aside(self, models: Mapping[str, Any]) -> None:
        """Move the documents that are not what their kind's model asks for to the kind `incomplete <kind>`; log each.

        :param models: a TypedDict for each kind.
        """
        for kind, model in models.items():
            for key, body in self._rows("SELECT key, body FROM documents WHERE kind=?", (kind,)):
                try:
                    msgspec.convert(json.loads(body), model)
                except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                    log.warning("%s '%s' is set aside, because its document is incomplete: %s", kind, key, error)
                    query = "UPDATE OR REPLACE documents SET kind=? WHERE kind=? AND key=?"
                    with self.transaction():
                        self._database.execute(query, (f"incomplete {kind}", kind, key))

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
