"""What the demo says at its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from emulator_process import EmulatorProcess

from airflow_azml.demo import report
from airflow_azml.demo.airflow_api import LogLine, TaskInstance
from airflow_azml.demo.follow import DagRun
from airflow_azml.hooks.connection import Settings

RESULTS: dict[str, dict[str, Any]] = {
    "wait_for_run": {"metrics": {"auc": 0.93321, "trees": 60, "accuracy": 0.88}},
    "register_model": {"model_name": "machine-failure", "model_version": "3"},
    "score": {"answer": {"failure_probability": [0.01, 0.99]}},
    "delete_compute": {"compute_name": "c"},
    "delete_endpoint": {"endpoint_name": "e"},
}


class Finished(DagRun):
    """A dag run that has ended; its tasks ended in the order of their minutes."""

    def __init__(self, *failed: tuple[str, int]) -> None:
        super().__init__(None, "d", "r")  # type: ignore[arg-type]
        object.__setattr__(self, "failed", failed)

    def tasks(self) -> list[TaskInstance]:
        ended = [
            TaskInstance(task, "failed", 1, None, datetime(2026, 1, 1, 12, minute, tzinfo=UTC))
            for task, minute in self.failed  # type: ignore[attr-defined]
        ]
        return [*ended, TaskInstance("after", "upstream_failed"), TaskInstance("fine", "success")]

    def log(self, task: TaskInstance) -> list[LogLine]:
        lines = [LogLine("where it was read"), LogLine("::group::Pre Execute", "info")]
        lines += [LogLine(f"line {number}", "info") for number in range(40)]
        return [*lines, LogLine("Task failed", "error", error=f"ValueError: {task.task_id}")]

    def result(self, task_id: str) -> dict[str, Any]:
        return RESULTS[task_id]


def test_what_was_produced_comes_from_the_tasks() -> None:
    """Metrics, model and score are those that the tasks have returned."""
    assert report.produced(Finished()) == [
        ("Metrics", "accuracy 0.88, auc 0.9332, trees 60"),
        ("Model", "machine-failure:3"),
        ("Score", '{"failure_probability": [0.01, 0.99]}'),
    ]
    assert report.cleaned_up(Finished()) == "compute c, endpoint e"


def test_failures_come_in_the_order_in_which_they_happened() -> None:
    """Only tasks that failed themselves are named, each with its exception and the end of its log."""
    first, second = report.failures(Finished(("late", 5), ("early", 1)))
    assert (first.task_id, second.task_id) == ("early", "late")
    assert first.error == "ValueError: early"
    assert len(first.lines) == report.LAST_LINES
    assert first.lines[-2:] == ("info    line 39", "error   Task failed")


def test_what_is_left_is_asked_of_the_service(emulator: EmulatorProcess, cpu: str, until: Any) -> None:
    """A compute that exists is found, and nothing any more when it has been deleted."""
    connection = json.loads(emulator.connection())
    settings = Settings.read("demo", connection["login"], connection["password"], connection["extra"])
    client = settings.client(on_secret=lambda _: None)
    assert report.left_over(client) == [f"compute {cpu}"]
    client.computes.delete(cpu)
    until(lambda: report.left_over(client) == [])
