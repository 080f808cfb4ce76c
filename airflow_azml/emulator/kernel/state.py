"""What the emulator keeps in its folder: how a file is written as a whole, and the error when one cannot be used."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class StateError(Exception):
    """A file of the emulator's folder cannot be used; the message is one line that names it and says what to do."""


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what a private file holds; make the file when there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        write_whole(path, made := make(), 0o600)
        return made


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file in one step: whoever looks, also after a crash, finds the former content or all of the new one.

    :param mode: its permissions, from which the umask takes away.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
