"""Bodies that are too large to hold in memory: written to a file as they come, read from one as they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import Request

CHUNK = 1 << 20


async def receive(request: Request, file: Path) -> None:
    """Write the request's body to the file, without holding it in memory."""
    async with await anyio.open_file(file, "wb") as stream:
        async for chunk in request.stream():
            await stream.write(chunk)


def read(file: Path, start: int, end: int) -> Iterator[bytes]:
    """Read no further than promised: a log may grow meanwhile."""
    with file.open("rb") as stream:
        stream.seek(start)
        while start < end and (chunk := stream.read(min(CHUNK, end - start))):
            start += len(chunk)
            yield chunk
