"""Processes that do the users' work: started in groups of their own, found again after a restart, ended as a whole.

A process is known by its pid and its time of birth, so that a number used anew by the system is not mistaken for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_azml.emulator import run_wrapper
from airflow_azml.emulator.run_wrapper import birth_of, claim

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PASSED_ON = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
)  # fmt: skip
LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A process that leads a group.

    :param pid: its number, which is the group's too.
    :param birth: when it was born, in the system's own notation.
    """

    pid: int
    birth: str

    def alive(self) -> bool:
        """Tell whether the leader still runs."""
        with suppress(ChildProcessError):  # not our child, when a former emulator started it
            os.waitpid(self.pid, os.WNOHANG)
        return bool(self.birth) and birth_of(self.pid) == self.birth

    def signal(self, number: signal.Signals) -> None:
        """Send the whole group a signal, if its leader still runs."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at running a run's command, known by its files, also to an emulator that did not start it.

    :param folder: of the run.
    :param number: of the try.
    """

    folder: Path
    number: int

    @property
    def _claim_file(self) -> Path:
        return self.folder / f"{self.number}.pid"

    @property
    def _exit_file(self) -> Path:
        return self.folder / f"{self.number}.exit"

    def start(self, command: Sequence[str], environment: Mapping[str, str], output: Path) -> ProcessGroup:
        """Start the command.

        :param command: program and arguments.
        :param environment: all of its environment variables.
        :param output: file that its standard output and error are appended to.
        """
        with output.open("ab") as stream:
            process = subprocess.Popen(  # noqa: S603 - the user's own command
                [sys.executable, "-I", run_wrapper.__file__, str(self._claim_file), str(self._exit_file), *command],
                cwd=self.folder / "wd",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        process.returncode = 0  # from here on ProcessGroup looks after it, as it does after a restart
        return ProcessGroup(process.pid, birth_of(process.pid))

    def running(self) -> ProcessGroup | None:
        """Return the process that a former emulator started; None when there is none, and then there never will be."""
        if claim(self._claim_file, ""):
            return None
        pid, _, birth = self._claim_file.read_text().partition(" ")
        return ProcessGroup(int(pid), birth) if pid else None

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal that ended it); None when the whole group was killed."""
        try:
            return int(self._exit_file.read_text())
        except FileNotFoundError:
            return None


def base_environment(python: Path) -> dict[str, str]:
    """Return the variables that every process of a user gets: nothing of the emulator's own secrets."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    passed |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return {**passed, "PATH": path, "NO_PROXY": no_proxy, "no_proxy": no_proxy, "PYTHONUNBUFFERED": "1"}
