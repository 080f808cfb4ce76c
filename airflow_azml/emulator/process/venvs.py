"""Environments on this machine: one per set of packages, built once and kept.

They are virtual environments, with packages of PyPI, or those that an installed conda makes (process/conda.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from airflow_azml.emulator.process import conda
from airflow_azml.emulator.process.conda import EnvironmentBuildError
from airflow_azml.emulator.process.groups import MARK, ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_azml.emulator.process.conda import Requirements

TEMPORARY, LOCK = ".link", ".lock"  # suffixes: a link that is not in its place yet; who holds it builds
LAST_LINES = 20  # of the installer's output, quoted in the error


class VenvCache:
    """The environments, one for each set of packages.

    :param root: folder that holds them. Several emulators of this machine can share it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._builders: set[subprocess.Popen[str]] = set()
        self._stopping = False
        self._guard = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """End the builders that a killed emulator left, and remove what they had not published."""
        for path in list(self._root.iterdir()):
            name, unpublished, _ = path.name.partition("-")
            link = self._root / name
            if unpublished:
                with link.with_suffix(LOCK).open("w") as file:
                    if _locked(file) and not (link.is_symlink() and link.readlink().name == path.name):
                        _remove(path)

    def ensure(self, wanted: Requirements, log: Callable[[str], None]) -> Path:
        """Return the Python of an environment with these packages; build it first if nobody has.

        :param log: takes lines about the progress.

        Raises EnvironmentBuildError.
        """
        packages = sorted({package.strip() for package in wanted.packages if package.strip()})
        known_by = [sys.version, sys.executable, wanted.conda, *packages]
        name = hashlib.sha256("\n".join(known_by).encode()).hexdigest()[:16]
        link = self._root / name
        python = link / "bin" / "python"
        if not python.exists():
            with self._alone(link):
                if not python.exists():
                    self._build(link, packages, wanted.conda, log)
        return python

    def stop(self) -> None:
        """End the builders that are at work; whoever waits for one gets an EnvironmentBuildError."""
        with self._guard:
            self._stopping = True
            for builder in self._builders:
                with suppress(ProcessLookupError):
                    os.killpg(builder.pid, signal.SIGKILL)

    @contextmanager
    def _alone(self, link: Path) -> Iterator[None]:
        """Let nobody else build this environment meanwhile, neither a thread nor another emulator.

        The lock belongs to the open file: it ends with the process, however that ends.
        """
        with link.with_suffix(LOCK).open("w") as file:
            while not _locked(file):
                self._refuse_when_stopping()
                time.sleep(0.1)
            yield

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise EnvironmentBuildError("The emulator is stopping.")

    def _build(self, link: Path, packages: list[str], specification: str, log: Callable[[str], None]) -> None:
        """Build under a name that nobody else uses, then publish it: a killed builder leaves nothing half done."""
        folder = self._root / f"{link.name}-{uuid.uuid4().hex[:8]}"
        file = folder.with_suffix(".yml")
        log(masked(f"Building an environment with {specification or ', '.join(packages) or 'no packages'} ..."))
        try:
            if specification:
                file.write_text(specification)
            for command in [conda.command(folder, file)] if specification else _commands(folder, packages):
                self._run(command, folder, log)
        except EnvironmentBuildError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            file.unlink(missing_ok=True)
        temporary = folder.with_suffix(TEMPORARY)
        temporary.symlink_to(folder.name)
        temporary.replace(link)
        log("The environment is ready.")

    def _run(self, command: list[str], folder: Path, log: Callable[[str], None]) -> None:
        lines: list[str] = []
        with self._started(command, folder) as builder:
            for line in builder.stdout or []:
                lines.append(line.rstrip())
                log(masked(line.rstrip()))
        with self._guard:
            self._builders.discard(builder)
        if builder.returncode:
            said = [f"'{' '.join(command)}' ended with exit code {builder.returncode}:", *lines[-LAST_LINES:]]
            raise EnvironmentBuildError(masked("\n".join(said)))

    def _started(self, command: list[str], folder: Path) -> subprocess.Popen[str]:
        with self._guard:
            self._refuse_when_stopping()
            builder = subprocess.Popen(  # noqa: S603 - our own commands; the packages are the user's
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # so that what the installer starts ends with it
                env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_PROGRESS": "1", MARK: str(folder)},
            )
            self._builders.add(builder)
            return builder


def _locked(file: TextIO) -> bool:
    """Lock an open file; False when another one has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    """Remove what a builder left, and end the builder."""
    ProcessGroup(0, "", str(path)).end()
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def masked(text: str) -> str:
    """Hide the user and password of URLs: package indexes often have them."""
    return re.sub(r"://[^@/\s]+@", "://***@", text)


def _commands(folder: Path, packages: list[str]) -> list[list[str]]:
    python, uv = str(folder / "bin" / "python"), shutil.which("uv")
    if uv:
        commands = [[uv, "venv", "--quiet", "--python", sys.executable, str(folder)]]
        install = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        commands = [[sys.executable, "-m", "venv", str(folder)]]
        install = [python, "-m", "pip", "install", "--quiet"]
    arguments = [word for package in packages for word in _words(package)]
    return [*commands, [*install, *arguments]] if packages else commands


def _words(line: str) -> list[str]:
    """Split an option line (`--index-url URL`); a requirement is one word, whatever spaces it has."""
    return line.split() if line.startswith("-") else [line]
