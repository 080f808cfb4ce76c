"""Programs that are started, watched and stopped together with everything that they start themselves.

Each has a session of its own: a Ctrl-C in the terminal reaches only us, and we decide how the others end.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # its annotations are a package of their own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE = 20.0  # seconds that a program has for ending by itself
LAST_LINES = 25  # of its log, quoted when it ended too early


class ServiceError(Exception):
    """A program did not come up or has ended; the message quotes the end of its log."""


class Service:
    """A program that runs until it is stopped.

    :param name: what to call it.
    :param command: program and arguments.
    :param environment: its whole environment.
    :param log: file that takes its output.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        _heed_interrupts()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the project's own programs
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its session's as well."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is ready; raise ServiceError when it ends before or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} was not ready after {seconds:.0f} s.\n{self.last_lines()}")
            time.sleep(0.2)

    def check(self) -> None:
        """Raise ServiceError when it has ended."""
        code = self._process.poll()
        if code is not None:
            raise ServiceError(f"{self.name} has ended with exit code {code}.\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([*lines, f"(from {self.log})"])

    def ask_to_end(self) -> None:
        """Send what Ctrl-C would send."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float) -> None:
        """Wait for its end, not longer than this."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(seconds, 0))

    def kill(self) -> None:
        """End it and everything that is left of what it has started, in its session or in one of their own."""
        descendants: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(self._process.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for descendant in descendants:
            with suppress(psutil.NoSuchProcess):
                descendant.kill()
        self._process.wait()


def _heed_interrupts() -> None:
    """Undo what a shell does to its background jobs: they ignore Ctrl-C, and so would every program that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def stop(services: Sequence[Service], patience: float = PATIENCE) -> None:
    """End the programs together: politely, and after `patience` seconds, or at a second Ctrl-C, by force."""
    deadline = time.monotonic() + patience
    try:
        for service in services:
            service.ask_to_end()
        for service in services:
            service.wait(deadline - time.monotonic())
    finally:
        with _undisturbed():
            for service in services:
                service.kill()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep signals waiting: killing takes no time, and nothing may be forgotten."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    It is taken from below the range of which the system gives ports to outgoing connections: none of these may take it
    before the program that it is meant for has started.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - it need not be a secret
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Tell whether nobody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
