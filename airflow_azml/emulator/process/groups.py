"""Processes that do the users' work: started in groups of their own, found again after a restart, ended as a whole.

A process is known by its pid and its time of birth, so that a number used anew by the system is not mistaken for it.
Its descendants inherit a mark in their environment, by which they are found when they left its group and it is dead.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_azml.emulator.process import wrapper
from airflow_azml.emulator.process.wrapper import (
    BEAT,
    LINUX,
    PATIENCE,
    PROC,
    birth_of,
    claim,
    descendants_of,
    kill,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

PASSED_ON = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
)  # fmt: skip
LOOPBACK = "127.0.0.1,localhost"
MARK = "AZUREML_EMULATOR_PROCESS"  # environment variable of all processes that belong to one run or deployment


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A process that leads a group, and all its descendants.

    :param pid: its number, which is the group's too.
    :param birth: when it was born, in the system's own notation.
    :param mark: the value of MARK in its environment, which no other group has.
    """

    pid: int
    birth: str
    mark: str

    def alive(self) -> bool:
        """Tell whether the leader still runs; one without a birth was never seen."""
        if not self.birth:
            return False
        with suppress(ChildProcessError):  # not our child, when a former emulator started it
            os.waitpid(self.pid, os.WNOHANG)
        return birth_of(self.pid) == self.birth

    def wait(self, seconds: float) -> None:
        """Wait until the leader has ended, at most so many seconds; where the system cannot tell, as many."""
        try:
            leader = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            time.sleep(seconds)
            return
        try:
            poll = select.poll()
            poll.register(leader, select.POLLIN)
            poll.poll(seconds * 1000)
        finally:
            os.close(leader)

    def signal(self, number: signal.Signals) -> None:
        """Send the whole group a signal, if its leader still runs."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def end(self) -> None:
        """Kill the group and all descendants of its leader, also those that have left the group or lost the leader."""
        deadline = time.monotonic() + PATIENCE
        self.signal(signal.SIGSTOP)  # a leader that runs could start others in place of those that are killed
        while (family := self._descendants()) or self.alive():
            if time.monotonic() > deadline:
                log.error("Killed processes have not ended: %s", sorted(family) or self.pid)
                return
            # The leader last: what is forked meanwhile is found as its descendant.
            kill(family) if family else self.signal(signal.SIGKILL)
            time.sleep(BEAT)

    def _descendants(self) -> set[int]:
        if not LINUX:
            return set()
        line = f"{MARK}={self.mark}".encode()
        marked = {pid for pid in running() if line in _variables(pid)}
        leader = {self.pid} if self.alive() else set()
        return (marked | descendants_of(marked | leader)) - leader


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
    def _mark(self) -> str:
        return str(self._claim_file)

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
                [sys.executable, "-IS", wrapper.__file__, str(self._claim_file), str(self._exit_file), *command],
                cwd=self.folder / "wd",
                env={**environment, MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        process.returncode = 0  # from here on ProcessGroup looks after it, as it does after a restart
        return ProcessGroup(process.pid, birth_of(process.pid), self._mark)

    def running(self) -> ProcessGroup | None:
        """Return the process that a former emulator started; None when there is none, and then there never will be."""
        if claim(self._claim_file, ""):
            return None
        pid, _, birth = self._claim_file.read_text().partition(" ")
        return ProcessGroup(int(pid), birth, self._mark) if pid else None

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal that ended it); None when the whole group was killed."""
        try:
            return int(self._exit_file.read_text())
        except FileNotFoundError:
            return None


def end_marked(prefix: str) -> None:
    """Kill all processes whose mark begins so, whoever has started them and whatever is written down (Linux only)."""
    line, deadline = f"{MARK}={prefix}".encode(), time.monotonic() + PATIENCE
    while LINUX and time.monotonic() < deadline:
        marked = {pid for pid in running() if any(each.startswith(line) for each in _variables(pid))}
        if not marked:
            return
        kill(marked)
        time.sleep(BEAT)


def _variables(pid: int) -> list[bytes]:
    """Return the environment with which a process was started; nothing when it is not ours or has ended."""
    try:
        with open(f"{PROC}/{pid}/environ", "rb") as file:  # noqa: PTH123 - there are many: no Path for each
            return file.read().split(b"\0")
    except OSError:
        return []


def base_environment(python: Path) -> dict[str, str]:
    """Return the variables that every process of a user gets: nothing of the emulator's own secrets."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    passed |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return {**passed, "PATH": path, "NO_PROXY": no_proxy, "no_proxy": no_proxy, "PYTHONUNBUFFERED": "1"}
