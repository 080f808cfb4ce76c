"""Request bodies that are read from disk while they are sent, again from the start for each attempt.

Nothing is held in memory but one piece: a project may have hundreds of megabytes.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 1024 * 1024


class MultipartStream:
    """A ``multipart/form-data`` body that is read from disk while it is sent, again from the start for each attempt.

    :param parts: (name, file name, content): bytes, or the path of a file.
    """

    def __init__(self, *parts: tuple[str, str, bytes | Path]) -> None:
        self._boundary = uuid.uuid4().hex
        self._parts = [(self._head(name, filename), content) for name, filename, content in parts]
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The header that goes with the body."""
        return f"multipart/form-data; boundary={self._boundary}"

    def __len__(self) -> int:
        sizes = (
            len(head) + (len(content) if isinstance(content, bytes) else content.stat().st_size) + 2
            for head, content in self._parts
        )
        return sum(sizes) + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        for head, content in self._parts:
            yield head
            if isinstance(content, bytes):
                yield content
            else:
                yield from chunks_of(content)
            yield b"\r\n"
        yield self._end

    def _head(self, name: str, filename: str) -> bytes:
        disposition = f'form-data; name="{name}"; filename="{filename}"'
        return f"--{self._boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()


class FileStream:
    """A file as a request body: its length, and its chunks from the start as often as needed.

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return self._path.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        return chunks_of(self._path)


def chunks_of(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces of a megabyte."""
    with path.open("rb") as source:
        while chunk := source.read(_PIECE):
            yield chunk
