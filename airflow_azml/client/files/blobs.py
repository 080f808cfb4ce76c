"""Files to and from blob storage, by SAS URL: streamed, without a bearer."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_azml.client.files.bodies import FileStream
from airflow_azml.client.transport.errors import AnswerBrokeOffError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.transport.http import Transport

MAX_BLOB = 5_000 * 1024 * 1024
"""The largest blob of one Put Blob request: https://learn.microsoft.com/rest/api/storageservices/put-blob"""
_TIMEOUT = (10, 300)


def upload(http: Transport, url: str, file: Path, *, operation: str) -> None:
    """Put a file where a SAS URL points to; what is there is replaced."""
    size = file.stat().st_size
    if size > MAX_BLOB:
        raise InputError("file", str(file), f"has {size} bytes; one blob upload takes {MAX_BLOB}")
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06"}
    # requests would send an empty stream chunked, which blob storage refuses.
    content = FileStream(file) if size else b""
    http.request(
        "PUT", http.signed(url), operation=operation, data=content, headers=headers, auth=None, timeout=_TIMEOUT
    )


def download(
    http: Transport, url: str, target: Path, *, operation: str, check: Callable[[int], None] = lambda _received: None
) -> None:
    """Stream what a SAS URL points to into a file, which appears only when it is whole.

    :param check: called with the bytes received so far, unpacked, before they are written; may raise.
    """
    part = target.with_name(f".{uuid.uuid4().hex}.part")  # a name that no file of the run has

    def receive() -> None:
        with part.open("wb") as file:
            for piece in http.stream(url, operation=operation):
                check(file.tell() + len(piece))
                file.write(piece)

    try:
        http.repeat(receive, lambda error: isinstance(error, AnswerBrokeOffError))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def below(container_url: str, *names: str) -> str:
    """Return the SAS URL of a blob in the container that a SAS URL points to."""
    base, _, signature = container_url.partition("?")
    return f"{base.rstrip('/')}/{'/'.join(quote(name) for name in names)}?{signature}"


def files_in(source: str | Path) -> list[tuple[str, Path]]:
    """Return the files of a folder, or the one file, each with its path below the folder, or its name.

    Links are not followed: what is outside stays outside.
    """
    root = Path(source).expanduser()
    if root.is_file():
        return [(root.name, root)]
    if not root.is_dir():
        raise InputError("source", str(source), "is neither a file nor a folder")
    found = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    if not found:
        raise InputError("source", str(source), "has no files in it")
    return [(path.relative_to(root).as_posix(), path) for path in found]
