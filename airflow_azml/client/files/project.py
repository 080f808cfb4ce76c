"""Which files of a project folder are uploaded.

``.amlignore`` at the top of the folder excludes files, or ``.gitignore`` where there is none. Files of the same name in
folders below count too. Their rules are git's. A folder that cannot be uploaded is an InputError.
"""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypedDict

from airflow_azml.client.files.ignore import IgnoreRules
from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

MAX_BYTES = 300 * 1024 * 1024
"""The service's limit on a snapshot, which Microsoft's clients enforce too."""
MAX_FILES = 2_000
COLLECTED = ("outputs", "logs")
"""Folders of a run whose files the service collects as the run's results."""
_NEVER = frozenset({".git", "__pycache__"})
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A file of a project folder.

    :param name: its path in the project, with forward slashes.
    :param path: where it is on this machine.
    :param size: bytes.
    :param executable: whether its owner may execute it.
    """

    name: str
    path: Path
    size: int
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Excluded:
    """A file or folder that is not uploaded.

    :param name: its path in the project; a folder's ends with a slash.
    :param why: the rule.
    """

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of a project folder.

    :param files: those that are uploaded, sorted by name.
    :param excluded: those that are not, sorted by name; of an excluded folder, only the folder itself.
    """

    files: tuple[ProjectFile, ...]
    excluded: tuple[Excluded, ...]

    @property
    def size(self) -> int:
        """Bytes of all files that are uploaded."""
        return sum(file.size for file in self.files)


def select(folder: str | Path, *, collected: Iterable[str] = ()) -> Selection:
    """Return which files of a folder are uploaded and which are excluded; InputError when it cannot be read.

    :param collected: paths of folders from which the service collects a run's results: they are excluded.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("folder", str(folder), "is not a folder" if root.exists() else "does not exist")
    walk = _Walk(root.resolve(), frozenset(collected))
    name = ".amlignore" if (root / ".amlignore").is_file() else ".gitignore"
    walk.enter(walk.root, "", IgnoreRules(name))
    files = sorted(walk.files, key=lambda file: (file.name.lower(), file.name))
    return Selection(tuple(files), tuple(sorted(walk.excluded, key=lambda entry: entry.name)))


class Which(TypedDict, total=False):
    """Which files of a folder are uploaded: the arguments of :func:`project_files`."""

    entry_script: str | None
    max_bytes: int
    max_files: int
    collected: Iterable[str]


def project_files(
    folder: str | Path,
    *,
    entry_script: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
    collected: Iterable[str] = (),
) -> tuple[ProjectFile, ...]:
    """Return the files of a project folder, sorted by name, or raise InputError saying why it cannot be sent.

    :param entry_script: must be among them; a path relative to the folder.
    :param max_bytes: size of all files together at most.
    :param max_files: number of files at most.
    :param collected: see :func:`select`; the log says that they are excluded.
    """
    selection = select(folder, collected=collected)
    for entry in selection.excluded:
        if entry.why == _WHY_COLLECTED:
            log.warning("%s of %s is not uploaded: %s", entry.name, folder, entry.why)
    check_limits(folder, selection, max_bytes, max_files)
    if entry_script is not None:
        _check_entry(entry_script, selection)
    return selection.files


_WHY_COLLECTED = "the service collects a run's results from this folder, and what is there now would be among them"


@dataclass(slots=True)
class _Walk:
    """One walk through a folder."""

    root: Path
    collected: frozenset[str]
    files: list[ProjectFile] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)

    def enter(self, folder: Path, path: str, rules: IgnoreRules) -> None:
        """Look at what is in a folder.

        :param path: of the folder in the project, empty or with a slash at its end.
        """
        try:
            rules = rules.below(folder, path)
            for entry in folder.iterdir():
                self._look(entry, path + entry.name, rules)
        except OSError as error:
            raise InputError("folder", str(folder), f"cannot be read: {error.strerror or error}") from error

    def _look(self, entry: Path, name: str, rules: IgnoreRules) -> None:
        is_folder = entry.is_dir()
        if why := self._why_not(entry, name, rules, is_folder=is_folder):
            self.excluded.append(Excluded(_printable(name) + "/" * is_folder, why))
            return
        self._check(entry, name)
        if is_folder:
            self.enter(entry, f"{name}/", rules)
        else:
            status = entry.stat()
            self.files.append(ProjectFile(name, entry, status.st_size, bool(status.st_mode & 0o100)))

    def _why_not(self, entry: Path, name: str, rules: IgnoreRules, *, is_folder: bool) -> str:
        """Return the rule that excludes an entry; empty when there is none."""
        if entry.name in _NEVER:
            return "is never uploaded"
        if is_folder and name in self.collected:
            return _WHY_COLLECTED
        rule = rules.decisive(name, is_folder=is_folder)
        if rule and rule.excludes:
            return str(rule)
        return "" if is_folder or entry.is_file() or entry.is_symlink() else "is no regular file"

    def _check(self, entry: Path, name: str) -> None:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            rule = f"has a file whose name is not UTF-8: rename or ignore it: {_printable(name)}"
            raise InputError("folder", str(self.root), rule) from error
        if entry.is_symlink():
            _check_link(entry, name, self.root)


def check_limits(
    folder: str | Path, selection: Selection, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Raise InputError unless there is something to send that is not too much."""
    files, size = selection.files, selection.size
    if not files:
        raise InputError("folder", str(folder), "has no files to send (after .amlignore or .gitignore)")
    more = "list others in .amlignore (`airflow-azml files` shows what is uploaded)"
    if len(files) > max_files:
        rule = f"has {len(files):,} files, at most {max_files:,} can be sent: {more}"
        raise InputError("folder", str(folder), rule)
    if size > max_bytes:
        largest = max(files, key=lambda file: file.size)
        rule = (
            f"has {size / 2**20:,.1f} MiB, at most {max_bytes / 2**20:,.0f} MiB can be sent: {more}; "
            f"the largest file is {largest.name}, {largest.size / 2**20:,.1f} MiB"
        )
        raise InputError("folder", str(folder), rule)


def _check_link(link: Path, name: str, root: Path) -> None:
    target = link.resolve()
    if not target.is_relative_to(root):
        raise InputError("folder", str(root), f"link {name} leads out of the folder, to {target}")
    if not target.exists():
        raise InputError("folder", str(root), f"link {name} leads nowhere")
    if link.parent.resolve().is_relative_to(target):
        raise InputError("folder", str(root), f"link {name} leads to a folder that it is in")


def _check_entry(script: str, selection: Selection) -> None:
    names = [file.name for file in selection.files]
    path = str(PurePosixPath(script))
    if path in names:
        return
    above = [f"{parent}/" for parent in PurePosixPath(path).parents]
    why = next((entry.why for entry in selection.excluded if entry.name in {path, *above}), "")
    if why:
        raise InputError("script", script, f"is not uploaded: {why}")
    base = PurePosixPath(script).name
    near = [name for name in names if PurePosixPath(name).name == base] or difflib.get_close_matches(script, names)
    shown = names[:_SHOWN] + (["..."] if len(names) > _SHOWN else [])
    hint = f"did you mean {', '.join(near)}?" if near else f"the folder has {', '.join(shown)}"
    raise InputError("script", script, f"is not among the folder's files; {hint}")


def _printable(name: str) -> str:
    """Return a path for people: bytes that are no UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
