"""The names of a container's blobs in their order, read from its folders only as far as somebody asks for them.

So a page of a long list costs what the page has, not what the whole list has.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def below(folder: Path | str, name: str, prefix: str, start: str) -> Iterator[str]:
    """Return the names of the blobs below a folder.

    :param name: of the folder, with a slash at its end; empty for the container's own.
    :param prefix: no other names.
    :param start: no names before this one.
    """
    for entry in _entries(folder):
        whole = name + entry
        if not entry.endswith("/"):
            if whole >= start and whole.startswith(prefix):
                yield whole
        elif _reaches(whole, start) and (whole.startswith(prefix) or prefix.startswith(whole)):
            yield from below(os.path.join(folder, entry), whole, prefix, start)  # noqa: PTH118 - there are many


def _entries(folder: Path | str) -> list[str]:
    """Return files and folders, each folder with a slash: in this order their whole names are in order, too."""
    try:
        with os.scandir(folder) as entries:
            return sorted(f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):  # it has gone meanwhile, or it never was
        return []


def _reaches(folder: str, start: str) -> bool:
    """Tell whether a folder can have names that do not come before the start."""
    return folder >= start or start.startswith(folder)
