"""The run history: experiments, runs and what is written about them. It starts nothing: that is executor.py's work.

A run's document is the service's `Run` without what depends on the caller's address (bodies.py adds that). A run
that the executor works on has a `work` member; any other run is `interactive`: its owner reports its status.
"""

from __future__ import annotations

import re
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import faults
from airflow_azml.emulator.http.limits import bounded
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.runs.model import DEFINITION, EXPERIMENT, RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_azml.emulator.kernel.store import Document, Store

RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}", re.ASCII)  # the specification's pattern
EXPERIMENT_NAME = re.compile(r"[a-zA-Z0-9][\w-]{0,254}", re.ASCII)  # that of names elsewhere: none is published
TERMINAL = frozenset({"Completed", "Failed", "Canceled"})
STARTED = frozenset({"Running", "Finalizing"})
WRITABLE = ("displayName", "name", "description", "hidden", "runType", "scriptName", "target")


class Runs:
    """Experiments and runs of the workspace.

    :param store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    # Experiments.

    def ensure_experiment(self, name: str) -> Document:
        """Return the experiment; create it when there is none."""
        with self._store.put_or_change(EXPERIMENT, name) as experiment:
            if not experiment:
                _check_name(name, "Experiment name", EXPERIMENT_NAME)
                created = {"experimentId": str(uuid.uuid4()), "name": name, "createdUtc": now(), "tags": {}}
                experiment.update(created)
            return experiment

    def find_experiment(self, name: str) -> Document | None:
        """Return the experiment, or None."""
        return self._store.get(EXPERIMENT, name)

    def experiment(self, name: str) -> Document:
        """Return the experiment; the 404 of the service when there is none."""
        found = self.find_experiment(name)
        if found is None:
            raise faults.Fault(404, "ExperimentNotFound", f"Experiment {name} not found.", target=name)
        return found

    def experiment_by_id(self, experiment_id: str) -> Document:
        """Return the experiment with the id; the 404 of the service when there is none."""
        for experiment in self.experiments():
            if experiment["experimentId"] == experiment_id.casefold():
                return experiment
        raise faults.Fault(404, "ExperimentNotFound", f"Experiment with id {experiment_id} not found.")

    def experiments(self) -> list[Document]:
        """Return all experiments, by name."""
        return self._store.all(EXPERIMENT)

    @contextmanager
    def changing_experiment(self, name: str) -> Iterator[Document]:
        """Hand out an experiment for changing in place."""
        with self._store.change(EXPERIMENT, self.experiment(name)["name"]) as experiment:
            yield experiment

    # Runs.

    def find(self, run_id: str) -> Document | None:
        """Return the run, or None."""
        return self._store.get(RUN, run_id)

    def get(self, run_id: str, experiment_name: str | None = None) -> Document:
        """Return the run (of the experiment, if named); the 404 of the service when there is none."""
        run = self.find(run_id)
        if run is None or (experiment_name and run["experimentName"].casefold() != experiment_name.casefold()):
            raise not_found(run_id)
        return run

    def many(self, run_ids: Iterable[str]) -> dict[str, Document]:
        """Return the runs that exist, under the ids as they were asked for."""
        return self._store.get_many(RUN, run_ids)

    def all(self, experiment_name: str | None = None) -> list[Document]:
        """Return all runs (of the experiment), by id."""
        runs = self._store.all(RUN)
        if experiment_name is None:
            return runs
        folded = experiment_name.casefold()
        return [run for run in runs if run["experimentName"].casefold() == folded]

    def definition(self, run: Document) -> Document:
        """Return the run configuration with which the run was started; empty when it was not."""
        return self._store.get(DEFINITION, run["runUuid"]) or {}

    def create(
        self,
        experiment_name: str,
        run_id: str,
        *,
        definition: Document | None = None,
        work: Document | None = None,
        **members: Any,
    ) -> Document | None:
        """Create a run (and its experiment); None when its id is taken. Two callers never both succeed.

        :param definition: the run configuration.
        :param work: what the executor needs to know; without it the run is interactive.
        :param members: of the Run.
        """
        _check_name(run_id, "Run id", RUN_ID)
        with self._store.transaction():
            if self.find(run_id):
                return None
            experiment = self.ensure_experiment(experiment_name)
            parent = self.find(members.get("parentRunId") or "")
            run_uuid = str(uuid.uuid4())
            run: Document = {
                "runId": run_id,
                "runNumber": self._store.next_number(f"run {experiment['experimentId']}"),
                "rootRunId": parent["rootRunId"] if parent else run_id,
                "experimentId": experiment["experimentId"],
                "experimentName": experiment["name"],
                "createdUtc": now(),
                "status": "NotStarted",
                "revision": 1,
                "statusRevision": 0,
                "runUuid": run_uuid,
                "rootRunUuid": parent["rootRunUuid"] if parent else run_uuid,
                "parentRunUuid": parent["runUuid"] if parent else None,
                "dataContainerId": f"dcid.{run_id}",
                "displayName": run_id,
                "runType": "azureml.scriptrun" if work else "sdk",
                "hidden": False,
                "tags": {},
                "properties": {},
                "warnings": [],
                "work": work,
                **members,
            }
            if definition is not None:
                self._store.put(DEFINITION, run_uuid, definition)
            return self._store.put(RUN, run_id, run)

    @contextmanager
    def changing(self, run_id: str) -> Iterator[Document]:
        """Hand out a run for changing; its revision grows when one of its members is replaced."""
        try:
            with self._store.change(RUN, run_id) as run:
                before = dict(run)
                yield run
                if run != before:
                    run["revision"] += 1
                    run["lastModifiedUtc"] = now()
        except AbsentError as error:
            raise not_found(run_id) from error

    def advance(self, run_id: str, status: str, **members: Any) -> bool:
        """Bring a run into a status, with its times; False when it has already ended or is being cancelled."""
        with self.changing(run_id) as run:
            if run["status"] in TERMINAL or (run["status"] == "CancelRequested" and status not in TERMINAL):
                return False
            self._enter(run, status)
            run.update(members)
            return True

    def request_end(self, run_id: str, ending: Document) -> bool:
        """Ask for the end of a run, and keep how it is to end; False when it has ended, or the end is asked for."""
        with self._store.transaction():
            asked = self.advance(run_id, "CancelRequested")
            with self.changing(run_id) as run:
                if asked and run["work"]:
                    run["work"]["ending"] = ending
            return asked

    def report(self, run_id: str, status: str) -> None:
        """Take over the status that the owner of an interactive run reports; the executor's runs go their own way."""
        if self.get(run_id)["work"] is None:
            self.advance(run_id, status)

    def put(self, experiment_name: str | None, run_id: str, changes: Document) -> Document:
        """Merge a `CreateRun`, all of it or nothing, into a run; an unknown one is created as interactive."""
        with self._store.transaction():
            if experiment_name and self.find(run_id) is None:
                parent = {"parentRunId": changes["parentRunId"]} if "parentRunId" in changes else {}
                self.create(experiment_name, run_id, **parent)
            self.get(run_id, experiment_name)
            if status := changes.get("status"):
                self.report(run_id, status)
            return self.modify(run_id, changes)

    def modify(self, run_id: str, changes: Document) -> Document:
        """Merge a `CreateRun`: tags are replaced key by key, properties only added to, an absent member is kept."""
        with self.changing(run_id) as run:
            run.update({name: changes[name] for name in WRITABLE if changes.get(name) is not None})
            run["tags"] = bounded({**run["tags"], **(changes.get("tags") or {})})
            for name, value in (changes.get("properties") or {}).items():
                if run["properties"].get(name, value) != value:
                    message = f"Property '{name}' of run '{run_id}' is already set: properties cannot be changed."
                    raise faults.bad_request(message, code="PropertyImmutable", target=name)
                run["properties"] = {**run["properties"], name: value}
            return run

    @staticmethod
    def _enter(run: Document, status: str) -> None:
        if run["status"] == status:
            return
        run["status"] = status
        run["statusRevision"] += 1
        if status in STARTED:
            run.setdefault("startTimeUtc", now())
        if status in TERMINAL:
            run["endTimeUtc"] = now()


def _check_name(name: str, what: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name):
        raise faults.bad_request(f"{what} '{name}' does not match {pattern.pattern}.", target=name)


def error(code: str, message: str) -> Document:
    """Return the `ErrorResponse` of a run that did not succeed; the inner error's code is the specific one."""
    return {
        "error": {
            "code": "UserError",
            "severity": 0,
            "message": message,
            "messageFormat": "{Message}",
            "messageParameters": {},
            "details": [],
            "innerError": {"code": code},
            "additionalInfo": [],
        },
        "correlation": {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]},
        "environment": facts.LOCATION,
        "location": facts.LOCATION,
        "time": now(),
        "componentName": "emulator",
    }


def not_found(run_id: str) -> faults.Fault:
    """The 404 of the run history."""
    return faults.Fault(404, "RunNotFound", f"Run {run_id} was not found", target=run_id)


def now() -> str:
    """Return the present time as the run history writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
