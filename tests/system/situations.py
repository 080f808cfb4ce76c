"""What the system tests tell their stories with: a dag run, what it has in the emulator, and what befalls it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from airflow_stack import AirflowStack, ended
from emulator_process import EmulatorProcess, wait_until

ACTIVE = {"NotStarted", "Queued", "Preparing", "Starting", "Running", "Finalizing", "CancelRequested"}
PATIENCE = 240  # seconds, on a machine where many situations take place at the same time
LONG = 600  # seconds that a call is held up: longer than anybody waits


@dataclass(frozen=True)
class World:
    """An Airflow and an emulator.

    :param gates: folder in which each situation has a folder of its own.
    """

    stack: AirflowStack
    emulator: EmulatorProcess
    gates: Path

    def situation(self, dag_id: str, **like: str) -> Situation:
        """Start a dag run.

        :param like: `experiment` and `gate` of another situation, to share its runs' fate.
        """
        conf = {**self.conf(dag_id), **like}
        return Situation(self, dag_id, self.stack.api.trigger(dag_id, conf=conf), **conf)

    def conf(self, dag_id: str) -> dict[str, str]:
        """Return the conf of a dag run whose experiment and gate are its own."""
        name = f"{dag_id}-{uuid4().hex[:8]}"
        (self.gates / name).mkdir()
        return {"experiment": name, "gate": str(self.gates / name / "open")}

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Use the emulator's own switches."""
        answer = self.emulator.control(method, path.removeprefix("/"), json=body)
        answer.raise_for_status()
        return answer.json()


@dataclass(frozen=True)
class Situation:
    """One dag run of a DAG with one task, `run`; the runs in Azure ML are those of its own experiment."""

    world: World
    dag_id: str
    run_id: str
    experiment: str
    gate: str

    # What is.

    def runs(self) -> dict[str, str]:
        """Return the status of each run in the emulator, the oldest first."""
        every = self.world.control("GET", "/runs")["value"]
        return {run["runId"]: run["status"] for run in every if run["experimentName"] == self.experiment}

    def task(self) -> str:
        """Return the task's state."""
        return self.world.stack.api.state(self.dag_id, self.run_id, "run")

    def instances(self) -> Counter[str]:
        """Return how many task instances are in each state."""
        return Counter(task.state for task in self.world.stack.api.task_instances(self.dag_id, self.run_id))

    def processes(self, run: str) -> list[int]:
        """Return the process ids of a run's script and of the program that it has started."""
        pids = Path(self.gate).with_name(f"{run}.pids")
        return [int(pid) for pid in pids.read_text().split()] if pids.exists() else []

    # What is waited for.

    def until_task(self, *states: str) -> None:
        """Wait until the task has one of the states."""
        until(lambda: self.task() in states, lambda: f"{self.task()}, not {states}\n{self.log()}")

    def until_try(self, number: int) -> None:
        """Wait until this try of the task is running."""
        until(lambda: self._try() == (number, "running"), lambda: f"{self._try()}\n{self.log()}")

    def until_adopted(self) -> None:
        """Wait until a later try of the task has taken up the run of an earlier one."""
        until(lambda: "adopted, an earlier try" in self.log(), self.log)

    def until_reported(self) -> None:
        """Wait until the scheduler has read its executor's report of the task's end.

        The report names dag, run, task and try only: it would be taken for that of a new task of these names.
        """
        until(lambda: "Received executor event with state success" in self._scheduler(), self._scheduler)

    def until_running(self, count: int = 1) -> str:
        """Wait until the last of so many runs is running, its script too; return its id."""
        until(lambda: [*self.runs().values()][count - 1 :] == ["Running"], lambda: f"{self.runs()}\n{self.log()}")
        last = list(self.runs())[-1]
        until(lambda: self.processes(last))
        return last

    def until_waiting(self) -> str:
        """Wait until the run is running, and the task or its trigger waits for it; return the run's id."""
        run = self.until_running()
        if self.dag_id.endswith("_deferred"):
            until(lambda: re.search(r"trigger .* starting", self.log()), self.log)
        return run

    def ends(self, state: str, *runs: dict[str, int]) -> None:
        """Wait for the dag run's end; it must be this one, with exactly so many runs of each status, and no process.

        :param runs: the numbers; several when it is a matter of who comes first.
        """
        assert ended(self.world.stack.api, self.dag_id, self.run_id, PATIENCE) == state, self.log() + self._scheduler()
        until(lambda: not ACTIVE & set(self.runs().values()), lambda: f"{self.runs()}", seconds=30)
        assert Counter(self.runs().values()) in runs, self.log()
        assert not [run for run in self.runs() if alive(self.processes(run))]

    def is_cancelled(self, run: str) -> None:
        """Wait half a minute until a run is seen canceled, with every process of it gone."""
        until(lambda: self.runs()[run] == "Canceled", lambda: f"{self.runs()}\n{self.log()}", seconds=30)
        until(lambda: not alive(self.processes(run)), seconds=10)

    def log(self) -> str:
        """Return what the tries of the task have told."""
        folder = self.world.stack.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return "\n".join(f"{path}:\n{path.read_text()}" for path in sorted(folder.rglob("*.log*")))

    def _scheduler(self) -> str:
        """Return what the scheduler has told of the dag run."""
        return "\n".join(line for line in self.world.stack.logs().splitlines() if self.run_id in line)[-8000:]

    # What befalls it.

    def open(self, code: int = 0) -> None:
        """Let the scripts end, with this exit code; scripts that start later too."""
        Path(self.gate).write_text(str(code))

    def fault(self, path: str, **fault: Any) -> str:
        """Let calls go wrong whose path matches; return the fault's id."""
        return str(self.world.control("POST", "/faults", {"path": path, **fault})["id"])

    def until_met(self, fault: str) -> None:
        """Wait until a call has met the fault."""
        until(lambda: any(one["id"] == fault and one["met"] for one in self._faults()), self.log)

    def kill_worker(self) -> None:
        """Send SIGKILL to the task's process and to its supervisor."""
        self.world.stack.kill_task(self.dag_id, "run", self.run_id)

    def frozen_worker(self) -> list[psutil.Process]:
        """Let the task's processes stand still, as when their machine is cut off; return them."""
        processes = self.world.stack.task_processes(self.dag_id, "run", self.run_id)
        for process in processes:
            process.suspend()
        return list(processes)

    def shut_worker_down(self) -> None:
        """Send SIGTERM to the task's supervisor."""
        self.world.stack.task_processes(self.dag_id, "run", self.run_id)[0].terminate()

    def mark(self, state: str) -> None:
        """Mark the task."""
        self.world.stack.api.mark(self.dag_id, self.run_id, "run", state)

    def mark_dag_run(self, state: str) -> None:
        """Mark the dag run."""
        self.world.stack.api.mark_run(self.dag_id, self.run_id, state)

    def clear(self) -> None:
        """Clear the task."""
        self.world.stack.api.clear(self.dag_id, self.run_id, "run")

    def _try(self) -> tuple[int, str]:
        task = self.world.stack.api.task(self.dag_id, self.run_id, "run")
        return task["try_number"], task["state"]

    def _faults(self) -> list[dict[str, Any]]:
        return list(self.world.control("GET", "/faults")["value"])


def until(
    condition: Callable[[], Any], why: Callable[[], str] = str, seconds: float = PATIENCE, every: float = 1
) -> None:
    """Wait until something is so, looking once a second, for many do; a failure tells why it was not."""
    with suppress(AssertionError):
        wait_until(condition, seconds, every)
        return
    raise AssertionError(f"not within {seconds} s: {why()}")


def alive(pids: list[int]) -> list[int]:
    """Return those processes that are still there and no zombies."""
    found = [process for process in psutil.process_iter(["status"]) if process.pid in pids]
    return [process.pid for process in found if process.info["status"] != psutil.STATUS_ZOMBIE]
