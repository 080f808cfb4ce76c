"""Projects of runs: the zip that a client sent, checked before it is kept and unpacked where the run works."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from airflow_azml.emulator.http.faults import bad_request

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 2 << 30  # far above the service's 300 MiB, far below a bomb's
MAX_FILES = 20_000
UNREADABLE = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)  # all that zipfile raises


def check(source: Path | IO[bytes]) -> None:
    """Refuse what is no zip, leaves its folder or would fill the disk."""
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except UNREADABLE as error:
        raise _refused(f"is not a zip file: {error}") from error
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES:
        raise _refused(f"has {len(entries)} files; at most {MAX_FILES} are allowed")
    if size > MAX_BYTES:
        raise _refused(f"would unpack to {size} bytes; that is too much")
    for entry in entries:
        _check_entry(entry)


def unpack(archive_path: Path, folder: Path) -> None:
    """Unpack a checked project; refuse one whose content is damaged."""
    try:
        with zipfile.ZipFile(archive_path) as archive:
            for entry in archive.infolist():
                target = folder / archive.extract(entry, folder)
                if not entry.is_dir():
                    target.chmod(0o644 | (entry.external_attr >> 16 & 0o111))
    except UNREADABLE as error:
        raise _refused(f"cannot be unpacked: {error}") from error


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise _refused(f"has an entry that leaves its folder: '{name}'")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _refused(f"has a symbolic link: '{name}'")
    if entry.flag_bits & 1:
        raise _refused(f"has an encrypted entry: '{name}'")


def _refused(reason: str) -> Exception:
    return bad_request(f"The project zip file {reason}.", code="InvalidProjectZip", target="projectZipFile")
