"""One run on its nodes: prepares its folder and environment, starts its command, watches it, keeps what it leaves.

It can be interrupted at any instruction: what it needs to go on stands in the run's document and in the run's folder.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, is_disk_full
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.process.conda import EnvironmentBuildError
from airflow_azml.emulator.process.groups import Attempt, ProcessGroup, base_environment
from airflow_azml.emulator.runs import data, definitions, environment, outcomes, projects
from airflow_azml.emulator.runs.data import UPLOAD, Data, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.emulator.process.conda import Requirements
    from airflow_azml.emulator.runs.outcomes import Outcome
    from airflow_azml.emulator.runs.site import Site

PROJECT = "wd"  # of the run's folder
STREAM, BUILD_LOG = "user_logs/std_log.txt", "azureml-logs/20_image_build_log.txt"
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
RETRY = 1.0  # seconds until what a full disk has prevented is tried again
log = logging.getLogger(__name__)


class Ended(Exception):  # noqa: N818 - it is how a run ends before its command has run to its end
    """The run ends here.

    :param outcome: how.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.status)
        self.outcome = outcome


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The emulator stops: the run goes back to the queue."""


class Unfinished(Exception):  # noqa: N818 - likewise
    """The emulator stops while the disk is full: the run has ended, but this could not be written down."""


class RunWorker:
    """Brings one run from its nodes to its end.

    :param site: what it works with.
    :param run_id: which run.
    """

    def __init__(self, site: Site, run_id: str) -> None:
        self._site, self.run_id = site, run_id
        self._folder = site.folder / run_id
        self._folder.mkdir(exist_ok=True)
        self._project = self._folder / PROJECT
        run = site.runs.get(run_id)
        self._work: dict[str, Any] = run["work"]
        self.compute: str = self._work["compute"]
        self._experiment: str = run["experimentName"]
        self._attempt = Attempt(self._folder, self._work["attempt"])
        self._spec = definitions.read(site.runs.definition(run), run_id)
        self._stopping = threading.Event()
        self._ending = outcomes.asked(run)

    def end(self, outcome: Outcome) -> None:
        """Ask for an early end, which the first one who asks decides; returns at once."""
        self._ending = self._ending or outcome

    def stop(self) -> None:
        """Ask for the way back to the queue; returns at once."""
        self._stopping.set()

    def work(self, *, resume: bool) -> Outcome:
        """Do it all and return how the run ended. Raises Interrupted when `stop` was called.

        :param resume: a former emulator may have started the run's command.
        """
        try:
            group = (self._attempt.running() if resume else None) or self._start(again=resume)
            self._note_the_start()
            self._watch(group)
            outcome = self._ending or outcomes.of_process(self._attempt.exit_code(), self._log_file(STREAM))
        except Ended as early:
            outcome = early.outcome
        self.persist(lambda: self._site.runs.advance(self.run_id, "Finalizing"))
        self.persist(self._keep)
        return outcome

    def persist(self, step: Callable[[], object]) -> None:
        """Do a step of the run's end; while the disk is full, do it again, so that no run stays active for ever.

        Raises Unfinished when the emulator stops meanwhile: the next one takes the step.
        """
        while True:
            try:
                step()
            except (OSError, sqlite3.Error) as error:
                if not is_disk_full(error):
                    raise
                log.warning("run %s cannot end while the disk is full: %s", self.run_id, error)
                if self._stopping.wait(RETRY):
                    raise Unfinished from error
            else:
                return

    def next_attempt(self) -> None:
        """Give up this attempt: what it may have left is not looked at again."""
        self._note(attempt=self._work["attempt"] + 1, started=None)
        self._attempt = Attempt(self._folder, self._work["attempt"])

    def _note(self, **members: Any) -> None:
        """Remember how far the work has come; that is no change of the run for others to see."""
        with self._site.runs.changing(self.run_id) as run:
            run["work"].update(members)
        self._work.update(members)

    # Before the command.

    def _start(self, *, again: bool) -> ProcessGroup:
        """Start the command; `again` when a former emulator had the nodes, but had not come so far."""
        self._check()
        if again:
            self.next_attempt()
        self._site.runs.advance(self.run_id, "Preparing")
        self._unpack()
        paths = self._deliver()
        python = self._python()
        self._check()
        given = data.variables(paths) | self._spec.variables
        variables = environment.variables_of(self._site, self.run_id, self._experiment, given)
        variables = base_environment(python) | variables
        return self._attempt.start(self._command(python, paths), variables, self._log_file(STREAM))

    def _note_the_start(self) -> None:
        """Let the run be Running; a former emulator may have been killed before it could."""
        if not self._work.get("started"):
            self._site.runs.advance(self.run_id, "Running")
            self._note(started=time.time())

    def _unpack(self) -> None:
        shutil.rmtree(self._project, ignore_errors=True)
        self._project.mkdir(parents=True)
        try:
            if self._work["project"]:
                projects.unpack(Path(self._work["project"]), self._project)
        except Fault as error:
            raise Ended(outcomes.failed(error.code, error.message)) from error
        for name in ("outputs", "logs"):
            (self._project / name).mkdir(exist_ok=True)

    def _deliver(self) -> dict[Data, str]:
        shutil.rmtree(self._folder / data.FOLDER, ignore_errors=True)
        try:
            return {each: data.deliver(each, self._site.blobs, self._folder, self._project) for each in self._spec.data}
        except (DataError, Fault, OSError) as error:
            raise Ended(outcomes.failed("DataNotDelivered", str(error))) from error

    def _command(self, python: Path, paths: dict[Data, str]) -> list[str]:
        if self._spec.command:
            return ["/bin/sh", "-c", data.expand(self._spec.command, paths)]
        return [str(python), self._spec.script, *(data.expand(argument, paths) for argument in self._spec.arguments)]

    def _python(self) -> Path:
        """Return the Python of the run's environment; an environment may take minutes, so others can interrupt it."""
        try:
            wanted = environment.definition_of(self._spec.environment, self._site.registered)
            self._write(STREAM, *(f"[emulator] {note}" for note in environment.notes_on(wanted)))
            if environment.is_managed_by_user(wanted):
                return environment.interpreter_of(wanted)
            return self._build(environment.requirements_of(wanted, self._project))
        except (EnvironmentBuildError, Fault, OSError) as error:
            message = f"The environment failed to build. {error}"
            raise Ended(outcomes.failed("EnvironmentBuildFailed", message)) from error

    def _build(self, requirements: Requirements) -> Path:
        self._write(STREAM, *(f"[emulator] {note}" for note in requirements.notes))

        def build() -> Path:
            return self._site.environments.ensure(requirements, lambda line: self._write(BUILD_LOG, line))

        building: Future[Path] = Future()
        threading.Thread(target=_fulfil, args=(building, build), daemon=True).start()
        while not wait([building], self._site.tick).done:
            self._check()
        return building.result()

    def _check(self) -> None:
        if self._ending:
            raise Ended(self._ending)
        if self._stopping.is_set():
            raise Interrupted

    # While it runs.

    def _watch(self, group: ProcessGroup) -> None:
        """Wait until the process group is gone, and see to it when that is asked for."""
        limit, started, asked_at = self._spec.max_seconds, self._work.get("started") or time.time(), 0.0
        while group.alive():
            if limit and time.time() - started > limit:
                self.end(outcomes.too_long(limit))
            if asked_at and time.monotonic() - asked_at > GRACE:
                group.end()
            elif not asked_at and (self._ending or self._stopping.is_set()):
                if self._ending:
                    self._site.runs.request_end(self.run_id, asdict(self._ending))
                asked_at = time.monotonic()
                group.signal(signal.SIGTERM)
            group.wait(self._site.tick)
        group.end()  # the wrapper has done so, unless it was killed
        if self._stopping.is_set() and asked_at and not self._ending:
            raise Interrupted

    # Afterwards.

    def _keep(self) -> None:
        """Move what the run left into its artifacts; a file that cannot be one is named in the run's log."""
        for each in (each for each in self._spec.data if each.mode == UPLOAD):
            refused = data.upload(each, self._site.blobs, each.place(self._folder, self._project))
            self._write(STREAM, *(f"[emulator] {sentence}" for sentence in refused))
        for name in self._spec.collected:
            for file in _files_of(self._project, name):
                path = file.relative_to(self._project).as_posix()
                try:
                    self._site.blobs.commit(file, facts.ARTIFACT_CONTAINER, self._artifact(path))
                except (Fault, OSError, UnicodeEncodeError) as error:
                    if is_disk_full(error):
                        raise
                    self._write(STREAM, f"[emulator] {path!r} is not kept: {error}")

    def _artifact(self, path: str) -> str:
        return f"ExperimentRun/dcid.{self.run_id}/{path}"

    def _log_file(self, name: str) -> Path:
        path = self._site.blobs.path(facts.ARTIFACT_CONTAINER, self._artifact(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self, name: str, *lines: str) -> None:
        if lines:
            with self._log_file(name).open("a") as stream:
                stream.writelines(f"{line}\n" for line in lines)


def _fulfil(future: Future[Path], work: Callable[[], Path]) -> None:
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
        future.set_exception(error)


def _files_of(project: Path, name: str) -> list[Path]:
    """Return the regular files below a folder of the project; links are not followed, nothing outside is touched."""
    root = project / name
    if not root.resolve().is_relative_to(project.resolve()):
        return []
    found = (Path(parent, file) for parent, _, files in os.walk(root) for file in files)
    return sorted(file for file in found if file.is_file() and not file.is_symlink())
