"""Environments on this machine: a virtual environment per set of pip packages, built once and kept.

What only conda or docker could give (a Python version, conda channels, an image) cannot be had here; `requirements`
names it, so that the log of the run or deployment can say so.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

LAST_LINES = 20  # of the installer's output, quoted in the error


class EnvironmentBuildError(Exception):
    """The environment could not be built; the message ends with what the installer said last."""


def requirements(conda: Any) -> tuple[list[str], list[str]]:
    """Read a conda specification: the pip packages, and a sentence for each thing that cannot be honoured."""
    pip: list[str] = []
    unmet: list[str] = []
    dependencies = conda.get("dependencies") if isinstance(conda, dict) else None
    for entry in dependencies if isinstance(dependencies, list) else []:
        if isinstance(entry, dict):
            pip += [str(package) for package in entry.get("pip") or []]
        elif re.split(r"[=<>!~ ]", str(entry))[0] == "python":
            if not _is_this_python(str(entry)):
                unmet.append(f"conda asks for '{entry}': this is Python {sys.version.split()[0]}.")
        elif re.split(r"[=<>!~ ]", str(entry))[0] != "pip":
            unmet.append(f"conda package '{entry}' is not installed: name it under pip if the script needs it.")
    return pip, unmet


def _is_this_python(entry: str) -> bool:
    versions = re.findall(r"[\d.]+", entry)
    return not versions or f"{sys.version.split()[0]}.".startswith(f"{versions[0].rstrip('.')}.")


class VenvCache:
    """Virtual environments, one for each set of pip packages.

    :param root: folder that holds them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._builders: set[subprocess.Popen[str]] = set()
        self._stopping = False
        self._guard = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)

    def ensure(self, packages: Iterable[str], log: Callable[[str], None]) -> Path:
        """Return the Python of an environment with these packages; build it first if nobody has.

        :param packages: lines as of a requirements file.
        :param log: takes lines about the progress.

        Raises EnvironmentBuildError.
        """
        wanted = sorted({package.strip() for package in packages if package.strip()})
        name = hashlib.sha256("\n".join([sys.version, sys.executable, *wanted]).encode()).hexdigest()[:16]
        with self._guard:
            lock = self._locks[name]
        with lock:
            link = self._root / name
            if not (link / "bin" / "python").exists():
                self._build(link, wanted, log)
            return link / "bin" / "python"

    def stop(self) -> None:
        """End the builders that are at work; whoever waits for one gets an EnvironmentBuildError."""
        with self._guard:
            self._stopping = True
            for builder in self._builders:
                with suppress(ProcessLookupError):
                    os.killpg(builder.pid, signal.SIGKILL)

    def _build(self, link: Path, packages: list[str], log: Callable[[str], None]) -> None:
        """Build under a name that nobody else uses, then publish it: a killed builder leaves nothing half done."""
        folder = self._root / f"{link.name}-{uuid.uuid4().hex[:8]}"
        log(masked(f"Building an environment with {', '.join(packages) or 'no packages'} ..."))
        try:
            for command in _commands(folder, packages):
                self._run(command, log)
        except EnvironmentBuildError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        temporary = folder.with_suffix(".link")
        temporary.symlink_to(folder.name)
        temporary.replace(link)
        log("The environment is ready.")

    def _run(self, command: list[str], log: Callable[[str], None]) -> None:
        lines: list[str] = []
        with self._started(command) as builder:
            for line in builder.stdout or []:
                lines.append(line.rstrip())
                log(masked(line.rstrip()))
        with self._guard:
            self._builders.discard(builder)
        if builder.returncode:
            said = [f"'{' '.join(command)}' ended with exit code {builder.returncode}:", *lines[-LAST_LINES:]]
            raise EnvironmentBuildError(masked("\n".join(said)))

    def _started(self, command: list[str]) -> subprocess.Popen[str]:
        with self._guard:
            if self._stopping:
                raise EnvironmentBuildError("The emulator is stopping.")
            builder = subprocess.Popen(  # noqa: S603 - our own commands; the packages are the user's
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # so that what the installer starts ends with it
                env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_PROGRESS": "1"},
            )
            self._builders.add(builder)
            return builder


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
