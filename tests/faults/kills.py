"""Sudden deaths: a task's process, its whole worker, or the triggerer gets SIGKILL, at random times."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from contextlib import suppress

import psutil
from airflow_stack import AirflowStack

TASK = re.compile(r"airflow worker -- [0-9a-f]{8}-[0-9a-f-]{27}$")
SORTS = (*4 * ("task",), *4 * ("worker",), "triggerer")  # one in nine: every restart takes its time


class Killer:
    """Kills something from time to time.

    :param stack: whose processes.
    :param seed: of the dice.
    :param pause: mean number of seconds between two kills.
    """

    def __init__(self, stack: AirflowStack, seed: int, pause: float) -> None:
        self.killed: Counter[str] = Counter()
        self._stack, self._dice, self._pause = stack, random.Random(seed), pause  # noqa: S311 - dice
        self._first = list(dict.fromkeys(SORTS))  # a short campaign meets every sort too
        self._plan()

    def strike(self) -> None:
        """Kill something if it is time to, and if there is one of the sort whose turn it is."""
        if time.monotonic() < self._next:
            return
        if self._sort == "triggerer":
            self._stack.restart("triggerer")
        elif not self._kill_task(with_worker=self._sort == "worker"):
            return
        self.killed[self._sort] += 1
        self._plan()

    def _plan(self) -> None:
        self._sort = self._first.pop(0) if self._first else self._dice.choice(SORTS)
        self._next = time.monotonic() + self._dice.uniform(0.5, 1.5) * self._pause

    def _kill_task(self, *, with_worker: bool) -> bool:
        """Kill a task, with its worker as when a machine is lost; False when none is running."""
        tasks = self._tasks()
        if not tasks:
            return False
        task = self._dice.choice(tasks)
        with suppress(psutil.NoSuchProcess):
            # The worker first: without its task it would soon wait at LocalExecutor's queue, and die with the lock.
            if with_worker:
                psutil.Process(task.ppid()).kill()
            task.kill()
            return True
        return False

    def _tasks(self) -> list[psutil.Process]:
        """Return the processes of the tasks that are running, not those of their supervisors."""
        found = []
        for process in psutil.Process(self._stack._parts["scheduler"].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found += [process] if TASK.match(" ".join(process.cmdline()).strip()) else []
        return found
