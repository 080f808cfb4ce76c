"""The serving processes, one for each deployment; each is brought up in a thread of its own.

The fleet knows keys, revisions and images; why a process should run, and what its fate means, is for deployments.py.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.endpoints.containers import LOG, PROCESS, Container, end_leftover
from airflow_azml.emulator.endpoints.images import ImageBuildError
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.process.conda import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from airflow_azml.emulator.endpoints.images import Images

log = logging.getLogger(__name__)
READY_SECONDS = 1800  # the service's own limit: x-ms-async-operation-timeout PT30M
BEAT = 0.05  # seconds between two looks at a process that comes up
TAIL = 50  # lines of the log in an error
CRASHED = (
    "User container has crashed or terminated. Please see troubleshooting guide, available here: "
    "https://aka.ms/oe-tsg#error-resourcenotready"
)


class LaunchError(Exception):
    """A process did not come up.

    :param code: the service's code for it.
    :param message: why, with the end of the log.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class _UnwantedError(Exception):
    """Nobody waits for the process any more."""


class Fleet:
    """The serving processes of all deployments.

    :param images: puts together what they run.
    :param root: folder for their files: one for each deployment and revision.
    """

    def __init__(self, images: Images, root: Path) -> None:
        self._images, self._root = images, root
        self._containers: dict[str, Container] = {}
        self._workers: dict[str, threading.Thread] = {}
        self._stopping = threading.Event()
        self.watchers: list[Callable[[], object]] = []
        """Called when a process has ended, and when the fleet is done with bringing one up."""

    def start(self, known: Collection[str]) -> None:
        """End the processes that a killed emulator left, and delete the files of deployments that are gone.

        :param known: the keys of the deployments.
        """
        for file in self._root.glob(f"*/*/*/{PROCESS}"):
            end_leftover(file.parent)
        for folder in self._root.glob("*/*"):
            if folder.relative_to(self._root).as_posix() not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        """End all processes and what brings them up."""
        self._stopping.set()
        self._images.stop()
        for worker in list(self._workers.values()):
            worker.join()
        for container in self._containers.values():
            container.stop()

    def check(self, spec: dict[str, Any]) -> None:
        """Refuse a deployment that refers to what is not there."""
        self._images.check(spec)

    def busy(self, key: str) -> bool:
        """Tell whether a process of the deployment is being brought up."""
        return key in self._workers

    def port(self, key: str) -> int | None:
        """Return the port where the deployment answers; None while it does not."""
        container = self._containers.get(key)
        return container.port if container and container.alive else None

    def launch(
        self,
        key: str,
        revision: int,
        spec: dict[str, Any],
        wanted: Callable[[], bool],
        done: Callable[[LaunchError | None], None],
    ) -> None:
        """Begin to bring a process up; once it is ready it takes the place of the deployment's present one.

        :param wanted: asked again and again; the launch is given up when it says no.
        :param done: told how it ended, unless it was given up.
        """

        def work() -> None:
            try:
                self._launch(key, revision, spec, wanted, done)
            finally:
                del self._workers[key]
                self._notify()

        self._workers[key] = threading.Thread(target=work, name=f"launch {key}", daemon=True)
        self._workers[key].start()

    def remove(self, key: str) -> None:
        """End the deployment's process and delete its files."""
        if container := self._containers.pop(key, None):
            container.stop()
        shutil.rmtree(self._root / key, ignore_errors=True)

    def log_tail(self, key: str, revision: int, lines: int) -> str:
        """Return the last lines of a revision's log."""
        with suppress(FileNotFoundError), self._file(key, revision).open(errors="replace") as file:
            return "".join(deque(file, lines))
        return ""

    def _launch(
        self,
        key: str,
        revision: int,
        spec: dict[str, Any],
        wanted: Callable[[], bool],
        done: Callable[[LaunchError | None], None],
    ) -> None:
        def still_wanted() -> bool:
            return not self._stopping.is_set() and wanted()

        try:
            container = self._bring_up(key, revision, spec, still_wanted)
        except _UnwantedError:
            return
        except LaunchError as error:
            if still_wanted():
                done(error)
            return
        former = self._containers.get(key)
        self._containers[key] = container
        threading.Thread(target=self._watch, args=(container,), name=f"watch {key}", daemon=True).start()
        done(None)
        if former:
            former.stop()
        for folder in (self._root / key).iterdir():
            if int(folder.name) < revision:
                shutil.rmtree(folder)

    def _watch(self, container: Container) -> None:
        container.wait()
        self._notify()

    def _notify(self) -> None:
        for watcher in self.watchers:
            watcher()

    def _bring_up(self, key: str, revision: int, spec: dict[str, Any], wanted: Callable[[], bool]) -> Container:
        file = self._file(key, revision)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            image = self._images.build(spec, file.parent, lambda line: _write(file, line))
            container = Container(image, file.parent)
        except (ImageBuildError, EnvironmentBuildError, Fault) as error:
            _write(file, str(error))
            raise LaunchError("ImageBuildFailure", str(error)) from error
        except Exception as error:  # whatever it is, the operation has to end
            log.exception("Launching %s failed", key)
            raise LaunchError("InternalServerError", f"{type(error).__name__}: {error}") from error
        try:
            self._wait(container, wanted)
        except LaunchError as error:
            container.stop()
            raise LaunchError(error.code, f"{error.message}\n{self.log_tail(key, revision, TAIL)}") from error
        except _UnwantedError:
            container.stop()
            raise
        return container

    @staticmethod
    def _wait(container: Container, wanted: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not container.ready(BEAT):
            if not container.alive:
                raise LaunchError("ResourceNotReady", CRASHED)
            if time.monotonic() > deadline:
                raise LaunchError("ResourceNotReady", f"The container was not ready after {READY_SECONDS} s.")
            if not wanted():
                raise _UnwantedError
            time.sleep(BEAT)

    def _file(self, key: str, revision: int) -> Path:
        return self._root / key / str(revision) / LOG


def _write(file: Path, line: str) -> None:
    with file.open("a") as target:
        target.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S,%f} {line}\n")
