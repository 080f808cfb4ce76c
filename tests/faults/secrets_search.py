"""Where a secret must not be: the whole database of Airflow, and every file that Airflow has written."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import psycopg2
from psycopg2 import sql

BEGINNING = 16  # characters
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"


def find(secrets: Iterable[str], database: str, folder: Path) -> list[str]:
    """Return a line for each secret and place in which it was found; the secret itself is shown in part only.

    :param secrets: what to search for.
    :param database: PostgreSQL's URL.
    :param folder: of the logs.
    """
    # There are thousands of them, but tokens begin alike: only where their beginning stands are they searched for.
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for secret in secrets:
        for form in (secret, secret.encode().hex()):  # binary columns are dumped in hexadecimal
            wanted[form[:BEGINNING]].append(form)
    return [
        f"{form[:4]}... ({len(form)} characters) in {place}"
        for place, text in chain(_tables(database), _files(folder))
        for beginning, forms in wanted.items()
        if beginning in text
        for form in forms
        if form in text
    ]


def _tables(database: str) -> Iterator[tuple[str, str]]:
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (name,) in cursor.fetchall():
            dump = io.StringIO()
            cursor.copy_expert(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name)), dump)
            yield f"table {name}", dump.getvalue()


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), path.read_text(errors="replace")
