"""Follow a dag run to its end: the state of each task, and the last line of its log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_azml.demo.airflow_api import AirflowApi, LogLine, TaskInstance

INTERVAL = 1.0  # seconds between two looks
OURS = "airflow_azml."  # loggers of this package; operators log below airflow.task.operators
ENDED = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class DagRun:
    """A dag run that somebody follows.

    :param airflow: where it runs.
    :param dag_id: its DAG.
    :param run_id: the dag run.
    """

    airflow: AirflowApi
    dag_id: str
    run_id: str

    def state(self) -> str:
        """Return its state now."""
        return self.airflow.run_state(self.dag_id, self.run_id)

    def tasks(self) -> list[TaskInstance]:
        """Return its tasks now."""
        return self.airflow.task_instances(self.dag_id, self.run_id)

    def log(self, task: TaskInstance) -> list[LogLine]:
        """Return what a task has logged in its latest try."""
        return self.airflow.log(self.dag_id, self.run_id, task)

    def result(self, task_id: str) -> dict[str, object]:
        """Return what a task has returned, nothing when it has not."""
        value = self.airflow.xcom(self.dag_id, self.run_id, task_id)
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown of a task.

    :param task: the task.
    :param doing: what it has said last.
    """

    task: TaskInstance
    doing: str = ""


def follow(run: DagRun, show: Callable[[Sequence[Row]], None], check: Callable[[], None]) -> str:
    """Show the dag run's tasks until it has ended and return its state.

    :param show: takes the tasks in the order in which they run, as often as there may be news.
    :param check: raises when there is no use in waiting any longer.
    """
    order = {task_id: place for place, task_id in enumerate(run.airflow.task_ids(run.dag_id))}
    doing: dict[str, str] = {}
    while True:
        check()
        state = run.state()  # before the tasks: when it has ended they have
        tasks = sorted(run.tasks(), key=lambda task: order.get(task.task_id, len(order)))
        for task in tasks:
            if task.active:
                doing[task.task_id] = last_words(run.log(task)) or doing.get(task.task_id, "")
        show([Row(task, doing.get(task.task_id, "")) for task in tasks])
        if state in ENDED:
            return state
        time.sleep(INTERVAL)


def last_words(log: Sequence[LogLine]) -> str:
    """Return the last thing that one of this package's operators, sensors or triggers has said."""
    return next((line.text for line in reversed(log) if OURS in line.logger), "")
