"""A project folder on its way to Azure ML: which files go, and the zip that a v1 run is submitted as.

The same folder gives the same bytes: sorted names, fixed times and permissions. Nothing is ever held in memory: the
zip goes to a temporary file, and :class:`MultipartStream` sends it from there.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pathspec import GitIgnoreSpec

MAX_BYTES = 300 * 1024 * 1024
"""The service's limit on a snapshot, which Microsoft's clients enforce too."""
MAX_FILES = 2_000
_CHUNK = 1024 * 1024
_SHOWN = 5
_NEVER = frozenset({".git", "__pycache__"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A file of a project folder.

    :param name: its path in the project, with forward slashes.
    :param path: where it is on this machine.
    :param size: bytes.
    """

    name: str
    path: Path
    size: int


def project_files(
    folder: str | Path, *, entry_script: str | None = None, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> tuple[ProjectFile, ...]:
    """Return the files of a project folder, sorted by name, or raise InputError saying why it cannot be sent.

    ``.amlignore``, else ``.gitignore``, at the top of the folder says what stays at home.

    :param entry_script: must be among them; a path relative to the folder.
    :param max_bytes: size of all files together at most.
    :param max_files: number of files at most.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("folder", str(folder), "is not a folder" if root.exists() else "does not exist")
    files = tuple(
        sorted(
            _walk(root.resolve(), "", root.resolve(), _ignored(root)), key=lambda file: (file.name.lower(), file.name)
        )
    )
    size = sum(file.size for file in files)
    if not files:
        raise InputError("folder", str(folder), "has no files to send (after .amlignore or .gitignore)")
    if len(files) > max_files:
        raise InputError(
            "folder",
            str(folder),
            f"has {len(files):,} files, at most {max_files:,} can be sent: list others in .amlignore",
        )
    if size > max_bytes:
        largest = max(files, key=lambda file: file.size)
        raise InputError(
            "folder",
            str(folder),
            f"has {size / 2**20:,.1f} MiB, at most {max_bytes / 2**20:,.0f} MiB can be sent: list others in .amlignore "
            f"(the largest file is {largest.name}, {largest.size / 2**20:,.1f} MiB)",
        )
    if entry_script is not None:
        _check_entry(entry_script, files)
    return files


def content_hash(files: tuple[ProjectFile, ...]) -> str:
    """Return the SHA-256 of names, sizes and contents as Microsoft's clients compute it (hash version 202208)."""
    digest = _hash_of_names(files)
    for file in files:
        for chunk in chunks_of(file.path):
            digest.update(chunk)
    return digest.hexdigest()


class Bundle:
    """A project folder as a zip in a temporary file, which is gone after ``with``.

    :param folder: the project; its files stand at the zip's root.
    :param entry_script: see :func:`project_files`, as the limits.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        entry_script: str | None = None,
        max_bytes: int = MAX_BYTES,
        max_files: int = MAX_FILES,
    ) -> None:
        self.files = project_files(folder, entry_script=entry_script, max_bytes=max_bytes, max_files=max_files)
        self.sha256 = ""
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """Where the zip is, within ``with``."""
        if self._path is None:
            raise InputError("bundle", None, "is made by 'with'")
        return self._path

    def __enter__(self) -> Self:
        handle, name = tempfile.mkstemp(prefix="azureml-", suffix=".zip")
        self._path = Path(name)
        try:
            with (
                os.fdopen(handle, "wb") as target,
                zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            ):
                self.sha256 = self._pack(archive)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _pack(self, archive: zipfile.ZipFile) -> str:
        """Copy every file into the archive and hash it on the way: each is read once."""
        digest = _hash_of_names(self.files)
        for file in self.files:
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            entry.file_size = file.size  # tells zipfile whether it needs the large format
            with archive.open(entry, "w") as target:
                for chunk in chunks_of(file.path):
                    digest.update(chunk)
                    target.write(chunk)
        return digest.hexdigest()


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
        while chunk := source.read(_CHUNK):
            yield chunk


def _hash_of_names(files: tuple[ProjectFile, ...]) -> hashlib._Hash:
    digest = hashlib.sha256(str(len(files)).encode())
    for file in files:
        digest.update(f"#{file.name}#{file.size}".encode())
    return digest


def _ignored(root: Path) -> GitIgnoreSpec | None:
    """Return the rules of ``.amlignore``, else of ``.gitignore``: the first that is there, never both."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only when something is sent

    for name in (".amlignore", ".gitignore"):
        if (root / name).is_file():
            return GitIgnoreSpec.from_lines((root / name).read_text(encoding="utf-8").splitlines())
    return None


def _walk(folder: Path, prefix: str, root: Path, ignored: GitIgnoreSpec | None) -> Iterator[ProjectFile]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        is_folder = entry.is_dir()
        if entry.name in _NEVER or (ignored and ignored.match_file(f"{name}/" if is_folder else name)):
            continue
        if entry.is_symlink():
            _check_link(entry, name, root)
        if is_folder:
            yield from _walk(entry, f"{name}/", root, ignored)
        elif entry.is_file():
            yield ProjectFile(name, entry, entry.stat().st_size)


def _check_link(link: Path, name: str, root: Path) -> None:
    target = link.resolve()
    if not target.is_relative_to(root):
        raise InputError("folder", str(root), f"link {name} leads out of the folder, to {target}")
    if not target.exists():
        raise InputError("folder", str(root), f"link {name} leads nowhere")
    if link.parent.resolve().is_relative_to(target):
        raise InputError("folder", str(root), f"link {name} leads to a folder that it is in")


def _check_entry(script: str, files: tuple[ProjectFile, ...]) -> None:
    names = [file.name for file in files]
    if str(PurePosixPath(script)) in names:
        return
    base = PurePosixPath(script).name
    near = [name for name in names if PurePosixPath(name).name == base] or difflib.get_close_matches(script, names)
    shown = names[:_SHOWN] + (["..."] if len(names) > _SHOWN else [])
    hint = f"did you mean {', '.join(near)}?" if near else f"the folder has {', '.join(shown)}"
    raise InputError("script", script, f"is not among the folder's files (ignored files are not sent); {hint}")
