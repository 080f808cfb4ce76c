"""What the demo shows of tasks, without Airflow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from airflow_azml.demo.airflow_api import AirflowApi, AirflowApiError, LogLine, TaskInstance
from airflow_azml.demo.display import LiveTable, PlainLines, display, duration
from airflow_azml.demo.follow import DagRun, Row, follow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def row(state: str, doing: str = "", task_id: str = "train") -> Row:
    ended = None if state == "running" else NOON + timedelta(seconds=4.25)
    started = NOON if state else None
    return Row(TaskInstance(task_id, state, 1, started, ended), doing)


def test_without_a_terminal_each_change_is_one_line() -> None:
    """A log gets no line twice, nothing of tasks that wait, and no control characters."""
    out = io.StringIO()
    with display(Console(file=out, width=40)) as show:
        assert isinstance(show, PlainLines)
        for rows in ([row("")], [row("queued")], [row("deferred", "run [1] is Queued")]):
            show(rows)
            show(rows)
        show([row("running", "run [1] is Queued")])
        show([row("success", "run [1] is Queued")])
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert [line[:2] for line in lines] == [["train", "running"], ["train", "success"]]
    assert lines[0][-4:] == ["run", "[1]", "is", "Queued"]
    assert lines[1][-2:] == ["4.2", "s"]


def test_a_terminal_shows_all_tasks_in_one_table() -> None:
    """Each task has its sign, state, duration and last words, markup in them taken literally."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with display(console) as show:
        assert isinstance(show, LiveTable)
        show([row("success", "model [a]:1"), row("failed", task_id="score"), row("", task_id="clean")])
    text = out.getvalue()
    assert all(word in text for word in ("✔", "success", "4.2 s", "model [a]:1", "✘", "failed", "score", "none"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.04, "0.0 s"), (59.9, "59.9 s"), (125.4, "2 min 5 s"), (7384, "2 h 3 min")]
)
def test_durations_are_written_for_people(seconds: float | None, text: str) -> None:
    """Seconds up to a minute, then minutes and seconds, then hours and minutes."""
    assert duration(seconds) == text


class Recorded(AirflowApi):
    """An Airflow whose answers were written down beforehand: one dag run of two tasks, look by look."""

    looks = (("running", "running", ""), ("running", "success", "deferred"), ("failed", "success", "failed"))

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "", "")
        self.look = -1

    def call(self, _method: str, path: str, **_options: Any) -> Any:  # type: ignore[override]
        _, *tasks = self.looks[min(max(self.look, 0), 2)]
        if path == "/dags/d/tasks":
            names = {"second": [], "first": ["second"]}
            return {"tasks": [{"task_id": name, "downstream_task_ids": after} for name, after in names.items()]}
        if path == "/dags/d/dagRuns/r":
            self.look += 1
            return {"state": self.looks[self.look][0]}
        if path.endswith("/taskInstances"):
            names = zip(("first", "second"), tasks, strict=True)
            return {"task_instances": [body(task_id, state or None) for task_id, state in names][::-1]}
        assert "/logs/1" in path
        ours = {"event": "run x: Running", "logger": "airflow.task.operators.airflow_azml.operators.run.X"}
        return {"content": ["plain", {"event": "Pre", "logger": "task"}, ours, {"event": "Post", "logger": "task"}]}


def body(task_id: str, state: str | None) -> dict[str, Any]:
    ended = "2026-01-01T12:00:04Z"
    return {"task_id": task_id, "state": state, "try_number": 1, "start_date": ended, "end_date": ended}


def test_a_dag_run_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks come in the order of the DAG; an active one says what its operator said last, an ended one keeps it."""
    monkeypatch.setattr("airflow_azml.demo.follow.INTERVAL", 0)
    shown: list[list[tuple[str, str, str]]] = []

    def show(rows: Sequence[Row]) -> None:
        shown.append([(row.task.task_id, row.task.state, row.doing) for row in rows])

    assert follow(DagRun(Recorded(), "d", "r"), show, check=lambda: None) == "failed"
    doing = "run x: Running"
    assert shown == [
        [("first", "running", doing), ("second", "", "")],
        [("first", "success", doing), ("second", "deferred", doing)],
        [("first", "success", doing), ("second", "failed", doing)],
    ]


def test_nothing_is_waited_for_when_a_program_has_ended() -> None:
    """What `check` raises ends the following."""

    def check() -> None:
        raise RuntimeError("airflow has ended")

    with pytest.raises(RuntimeError, match="airflow has ended"):
        follow(DagRun(Recorded(), "d", "r"), print, check)


def test_the_end_of_an_earlier_step_is_not_the_end_of_the_task() -> None:
    """A deferred task still has the end date of the step before; its time runs on."""
    assert TaskInstance.from_json(body("t", "deferred")).ended is None
    assert TaskInstance.from_json(body("t", "success")).seconds() == 0


def test_an_exception_in_the_log_is_named() -> None:
    """Airflow lists an exception before its causes."""
    raised = [{"exc_type": "AirflowFailException", "exc_value": "no"}, {"exc_type": "OSError", "exc_value": "why"}]
    line = LogLine.from_json({"event": "Task failed", "level": "error", "error_detail": raised})
    assert line.error == "AirflowFailException: no"


def test_a_dag_that_cannot_be_imported_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import error is shown instead."""
    answers = {
        "/dags": {"dags": []},
        "/importErrors": {"import_errors": [{"filename": "d.py", "stack_trace": "SyntaxError: here"}]},
    }
    airflow = Recorded()
    monkeypatch.setattr(airflow, "call", lambda _method, path, **_: answers[path])
    with pytest.raises(AirflowApiError, match=r"d\.py:\nSyntaxError: here"):
        airflow.knows("d")
