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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.endpoints.containers import LOG, PROCESS, Container, end_leftover
from airflow_azml.emulator.endpoints.images import ImageBuildError
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.process.conda import EnvironmentBuildError
from airflow_azml.emulator.process.groups import end_marked

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


@dataclass(frozen=True, slots=True)
class Launch:
    """A process that is to come up.

    :param key: of the deployment.
    :param revision: of the deployment, which the process serves.
    :param spec: of that revision.
    :param wanted: asked again and again; the launch is given up when it says no.
    :param done: told how it ended, unless it was given up.
    """

    key: str
    revision: int
    spec: dict[str, Any]
    wanted: Callable[[], bool]
    done: Callable[[LaunchError | None], None]


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
        end_marked(f"{self._root}/")  # a folder tells of one process only, and it may be gone
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

    def launch(self, launch: Launch) -> None:
        """Begin to bring a process up; once it is ready it takes the place of the deployment's present one."""

        def work() -> None:
            try:
                self._launch(launch)
            finally:
                del self._workers[launch.key]
                self._notify()

        self._workers[launch.key] = threading.Thread(target=work, name=f"launch {launch.key}", daemon=True)
        self._workers[launch.key].start()

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

    def _launch(self, launch: Launch) -> None:
        try:
            container = self._bring_up(launch)
        except _UnwantedError:
            return
        except LaunchError as error:
            if self._wanted(launch):
                launch.done(error)
            return
        former = self._containers.get(launch.key)
        self._containers[launch.key] = container
        threading.Thread(target=self._watch, args=(container,), name=f"watch {launch.key}", daemon=True).start()
        launch.done(None)
        if former:
            former.stop()
        for folder in (self._root / launch.key).iterdir():
            if int(folder.name) < launch.revision:
                shutil.rmtree(folder)

    def _wanted(self, launch: Launch) -> bool:
        return not self._stopping.is_set() and launch.wanted()

    def _watch(self, container: Container) -> None:
        container.wait()
        self._notify()

    def _notify(self) -> None:
        for watcher in self.watchers:
            watcher()

    def _bring_up(self, launch: Launch) -> Container:
        file = self._file(launch.key, launch.revision)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            image = self._images.build(launch.spec, file.parent, lambda line: _write(file, line))
            container = Container(image, file.parent)
        except (ImageBuildError, EnvironmentBuildError, Fault) as error:
            _write(file, str(error))
            raise LaunchError("ImageBuildFailure", str(error)) from error
        except Exception as error:  # whatever it is, the operation has to end
            log.exception("Launching %s failed", launch.key)
            raise LaunchError("InternalServerError", f"{type(error).__name__}: {error}") from error
        try:
            self._wait(container, launch)
        except LaunchError as error:
            container.stop()
            log_tail = self.log_tail(launch.key, launch.revision, TAIL)
            raise LaunchError(error.code, f"{error.message}\n{log_tail}") from error
        except _UnwantedError:
            container.stop()
            raise
        return container

    def _wait(self, container: Container, launch: Launch) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not container.ready(BEAT):
            if not container.alive:
                raise LaunchError("ResourceNotReady", CRASHED)
            if time.monotonic() > deadline:
                raise LaunchError("ResourceNotReady", f"The container was not ready after {READY_SECONDS} s.")
            if not self._wanted(launch):
                raise _UnwantedError
            time.sleep(BEAT)

    def _file(self, key: str, revision: int) -> Path:
        return self._root / key / str(revision) / LOG


def _write(file: Path, line: str) -> None:
    with file.open("a") as target:
        target.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S,%f} {line}\n")
