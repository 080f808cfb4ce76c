"""The executor: which runs wait for nodes, which are on them, and who takes them up again after a restart.

One thread hands nodes to the runs that wait, first come, first served per compute; every run on its nodes has
a worker (worker.py) in a thread of its own. All of it stands in the runs' documents, the queue is only an index.
"""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.kernel.ticker import Ticker
from airflow_azml.emulator.runs import environment, outcomes
from airflow_azml.emulator.runs.history import TERMINAL
from airflow_azml.emulator.runs.worker import Interrupted, RunWorker, Unfinished

if TYPE_CHECKING:
    from airflow_azml.emulator.computes.engine import Computes
    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.kernel.ticker import Steps
    from airflow_azml.emulator.runs.definitions import RunSpec
    from airflow_azml.emulator.runs.outcomes import Outcome
    from airflow_azml.emulator.runs.site import Site

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run without nodes.

    :param run_id: which.
    :param compute: the compute it waits for.
    :param nodes: how many it needs.
    """

    run_id: str
    compute: str
    nodes: int


class Executor:
    """Runs the runs.

    :param site: what the workers work with.
    :param computes: who gives out nodes.
    :param store: numbers the runs in the order in which they came.
    """

    def __init__(self, site: Site, computes: Computes, store: Store) -> None:
        self._site, self._runs, self._computes, self._store = site, site.runs, computes, store
        self._lock = threading.RLock()
        self._waiting: dict[str, Waiting] = {}
        self._arrived: list[str] = []
        self._workers: dict[str, RunWorker] = {}
        self._threads: set[threading.Thread] = set()
        self._stopping = False
        self._ticker = Ticker(store, site.tick, self._steps, "runs")
        self.incoming = site.folder / ".incoming"
        computes.on_removed.append(self._end_all_on)

    def start(self) -> None:
        """Take up what a former emulator left: queued runs wait again, started ones are watched again."""
        active = [run for run in self._runs.all() if run["work"] and run["status"] not in TERMINAL]
        self._sweep(active)
        self._computes.reconcile({run["runId"] for run in active})
        for run in sorted(active, key=lambda run: run["work"]["sequence"]):
            self._ticker.attempt(run["runId"], partial(self._take_up, run))
        self._ticker.start()

    def stop(self) -> None:
        """End all processes; their runs go back to the queue and start anew with the next emulator."""
        self._ticker.stop()
        with self._lock:
            self._stopping = True
            workers, threads = list(self._workers.values()), list(self._threads)
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join()

    def submit(
        self, experiment: str, run_id: str, configuration: Document, spec: RunSpec, project: Path | None, **members: Any
    ) -> None:
        """Queue a new run. Raises the 400 of a compute that cannot take it and the 409 of an id that is taken.

        :param configuration: as the user wrote it.
        :param spec: the same, read.
        :param project: zip file, which becomes the run's own.
        :param members: further members of the Run.
        """
        self._check_compute(spec)
        environment.definition_of(spec.environment, self._site.registered)
        work = {"compute": spec.target, "nodes": spec.node_count, "project": str(project) if project else ""}
        members |= {"target": spec.target, "scriptName": spec.script}
        with self._lock:
            with self._store.transaction():
                work |= {"sequence": self._store.next_number("work"), "attempt": 1, "onNodes": False}
                run = self._runs.create(experiment, run_id, definition=configuration, work=work, **members)
            if run is None:
                raise Fault(409, "RunAlreadyExists", f"A run with id '{run_id}' already exists.", target=run_id)
            self._enqueue(run)

    def cancel(self, run_id: str, reason: str = "") -> None:
        """Ask a run to end as Canceled; the 400 of the service when it has ended in another way."""
        outcome = outcomes.canceled(reason)
        with self._lock:
            if not self._runs.request_end(run_id, asdict(outcome)):
                status = self._runs.get(run_id)["status"]
                if status in TERMINAL - {"Canceled"}:
                    message = f"Run '{run_id}' is already in the terminal state {status}: it cannot be canceled."
                    raise bad_request(message, code="RunNotCancelable", target=run_id)
            if worker := self._workers.get(run_id):
                worker.end(outcome)
            elif self._runs.get(run_id)["status"] == "CancelRequested":
                self._finish(run_id, outcome)

    def _check_compute(self, spec: RunSpec) -> None:
        if not self._computes.exists(spec.target):
            message = f"Compute target '{spec.target}' was not found in the workspace, or could not be created."
            raise bad_request(message, code="ComputeNotFound", target=spec.target)
        capacity = self._computes.capacity(spec.target)
        if spec.node_count > capacity:
            message = f"nodeCount {spec.node_count} is more than the {capacity} nodes that '{spec.target}' can have."
            raise bad_request(message, code="NodeCountExceeded", target="nodeCount")

    def _enqueue(self, run: Document) -> None:
        with self._lock:
            self._waiting[run["runId"]] = Waiting(run["runId"], run["work"]["compute"], run["work"]["nodes"])
            self._arrived.append(run["runId"])

    def _take_up(self, run: Document) -> None:
        """Go on with a run of a former emulator; end it when its nodes have gone with their compute."""
        run_id, work, ending = run["runId"], run["work"], outcomes.asked(run)
        if work["onNodes"]:
            held = self._computes.holds(work["compute"], run_id)
            self._launch(run_id, resume=True, ending=None if held else _compute_gone(work["compute"]))
        elif ending:
            self._finish(run_id, ending)
        else:
            self._enqueue(run)

    # Every tick.

    def _steps(self) -> Steps:
        with self._lock:
            arrived, self._arrived = self._arrived, []
            queues: dict[str, list[Waiting]] = {}
            for waiting in self._waiting.values():
                queues.setdefault(waiting.compute.casefold(), []).append(waiting)
        for run_id in arrived:
            yield run_id, partial(self._runs.advance, run_id, "Queued")
        for compute, queue in queues.items():
            yield compute, partial(self._serve, queue)

    def _serve(self, queue: list[Waiting]) -> None:
        """Ask for nodes for the first ones: what the compute can have at all is the most that it needs to know."""
        compute = queue[0].compute
        if not self._computes.exists(compute):
            for waiting in queue:
                self._finish(waiting.run_id, _compute_gone(compute))
            return
        capacity, asked = self._computes.capacity(compute), 0
        for waiting in queue:
            if waiting.nodes <= capacity and asked < capacity:
                asked += waiting.nodes
                self._assign(waiting)

    def _assign(self, waiting: Waiting) -> None:
        """Put a run on nodes, if it still waits and there are some: both are written down together."""
        with self._lock:
            if waiting.run_id not in self._waiting or self._stopping:
                return
            with self._store.transaction():
                if not self._computes.assign(waiting.compute, waiting.run_id, waiting.nodes):
                    return
                with self._runs.changing(waiting.run_id) as run:
                    run["work"]["onNodes"] = True
            del self._waiting[waiting.run_id]
            self._launch(waiting.run_id, resume=False)

    def _launch(self, run_id: str, *, resume: bool, ending: Outcome | None = None) -> None:
        with self._lock:
            try:
                worker = self._workers[run_id] = RunWorker(self._site, run_id)
            except Exception as error:  # it would otherwise wait for ever
                log.exception("run %s", run_id)
                self._finish(run_id, _mistake(error))
                return
            if ending:
                worker.end(ending)
            thread = threading.Thread(
                target=self._work, args=(worker,), kwargs={"resume": resume}, name=run_id, daemon=True
            )
            self._threads.add(thread)
            thread.start()

    def _work(self, worker: RunWorker, *, resume: bool) -> None:
        try:
            outcome = self._outcome(worker, resume=resume)
            worker.persist(lambda: self._finish(worker.run_id, outcome))
        except Interrupted:
            self._requeue(worker)
        except Unfinished:
            log.warning("run %s is finished by the next emulator", worker.run_id)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    @staticmethod
    def _outcome(worker: RunWorker, *, resume: bool) -> Outcome:
        try:
            return worker.work(resume=resume)
        except (Interrupted, Unfinished):
            raise
        except Exception as error:  # a mistake of ours must end its run, which would otherwise wait for ever
            log.exception("run %s", worker.run_id)
            return _mistake(error)

    def _finish(self, run_id: str, outcome: Outcome) -> None:
        """End a run. The steps can be taken again, after one of them has failed."""
        with self._store.transaction():
            self._computes.release(run_id)
            self._runs.advance(run_id, outcome.status, **outcome.members)
        with self._lock:
            self._waiting.pop(run_id, None)
            self._workers.pop(run_id, None)
        work = self._runs.get(run_id)["work"]
        if work and work["project"]:
            Path(work["project"]).unlink(missing_ok=True)
        shutil.rmtree(self._site.folder / run_id, ignore_errors=True)

    def _requeue(self, worker: RunWorker) -> None:
        with self._store.transaction():
            worker.next_attempt()
            with self._runs.changing(worker.run_id) as run:
                run["work"]["onNodes"] = False
            self._computes.release(worker.run_id)
            self._runs.advance(worker.run_id, "Queued")

    def _end_all_on(self, compute: str) -> None:
        with self._lock:
            workers = [worker for worker in self._workers.values() if worker.compute.casefold() == compute.casefold()]
        for worker in workers:
            worker.end(_compute_gone(compute))

    def _sweep(self, active: list[Document]) -> None:
        """Remove what a killed emulator left of runs that have ended and of submissions that it never answered."""
        wanted = {run["runId"] for run in active} | {self.incoming.name}
        self.incoming.mkdir(parents=True, exist_ok=True)
        for folder in self._site.folder.iterdir():
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)
        projects = {run["work"]["project"] for run in active}
        for file in self.incoming.iterdir():
            if str(file) not in projects:
                file.unlink()


def _mistake(error: Exception) -> Outcome:
    return outcomes.failed("EmulatorError", f"The emulator failed: {error!r}")


def _compute_gone(compute: str) -> Outcome:
    return outcomes.failed("ComputeNotFound", f"Compute target '{compute}' was deleted or restarted.")
