"""Text files as people write them: UTF-8, with a byte order mark or without."""

from __future__ import annotations

from pathlib import Path

from airflow_azml.client.transport.errors import InputError


def read_text(field: str, path: str | Path) -> str:
    """Return what a text file holds, its line ends as they are, or raise InputError naming the file.

    :param field: what the caller calls the file.
    """
    try:
        return Path(path).expanduser().read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(field, str(path), f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # of which UnicodeDecodeError is one
        raise InputError(field, str(path), "cannot be read: it is not UTF-8 text; save it as UTF-8") from error
