"""The tasks of a dag run in the terminal: a table that lives, or plain lines where there is no terminal."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from airflow_azml.demo.airflow_api import WAITING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from airflow_azml.demo.follow import Row

STYLES = {
    "success": ("✔", "green"),
    "failed": ("✘", "bold red"),
    "upstream_failed": ("✘", "red"),
    "skipped": ("-", "dim"),
    "removed": ("-", "dim"),
}


class LiveTable(AbstractContextManager["LiveTable"]):
    """A table that is drawn anew in place.

    :param console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, rows: Sequence[Row]) -> None:
        """Show the tasks."""
        self._live.update(table(rows))


class PlainLines(nullcontext["PlainLines"]):
    """A line for every change, for logs and pipes.

    :param console: where to.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(self)
        self._console = console
        self._said: dict[str, tuple[str, str]] = {}

    def __call__(self, rows: Sequence[Row]) -> None:
        """Print what has changed."""
        for row in rows:
            state, doing = ("running", row.doing) if row.task.active else (row.task.state, "")
            if state not in WAITING and self._said.get(row.task.task_id) != (state, doing):
                self._said[row.task.task_id] = (state, doing)
                words = f"{row.task.task_id:<18} {state:<15} {duration(row.task.seconds()):>10}  {doing}"
                self._console.print(words.rstrip(), markup=False, highlight=False, soft_wrap=True)


def display(console: Console) -> LiveTable | PlainLines:
    """Return what fits the console."""
    return LiveTable(console) if console.is_terminal else PlainLines(console)


def table(rows: Sequence[Row]) -> Table:
    """Draw the tasks."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(width=1)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    for row in rows:
        _, style = STYLES.get(row.task.state, ("", "" if row.task.active else "dim"))
        name, state = Text(row.task.task_id, style), Text(row.task.state or "none", style)
        grid.add_row(mark(row), name, state, duration(row.task.seconds()), escape(row.doing))
    return grid


def mark(row: Row) -> RenderableType:
    """Return the sign at the head of a task's line: it turns while the task is active."""
    if row.task.active:
        return Spinner("dots", style="cyan")
    sign, style = STYLES.get(row.task.state, ("·", "dim"))
    return Text(sign, style)


def duration(seconds: float | None) -> str:
    """Write seconds as a person reads them."""
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {int(rest)} s" if minutes else f"{rest:.1f} s"
