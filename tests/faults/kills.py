"""Sudden deaths: the process of a task, its whole worker, or the triggerer gets SIGKILL, one after the other at random."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from contextlib import suppress

import psutil
from airflow_stack import AirflowStack

TASK = re.compile(r"^airflow worker -- (?:LocalExecutor: )?([0-9a-f]{8}-[0-9a-f-]{27})$")
SORTS = ("task", "task", "worker", "triggerer")


class Killer:
    """Kills something from time to time.

    :param stack: whose processes.
    :param seed: of the dice.
    :param pause: mean number of seconds between two kills.
    """

    def __init__(self, stack: AirflowStack, seed: int, pause: float) -> None:
        self.killed: Counter[str] = Counter()
        self._stack, self._dice, self._pause = stack, random.Random(seed), pause
        self._next = time.monotonic() + pause

    def strike(self) -> None:
        """Kill something if it is time to."""
        if time.monotonic() < self._next:
            return
        # Those that have not come first: a short campaign meets every sort too.
        missing = [sort for sort in SORTS if not self.killed[sort]]
        sort = self._dice.choice(missing or SORTS)
        if self._kill_triggerer() if sort == "triggerer" else self._kill_task(with_worker=sort == "worker"):
            self.killed[sort] += 1
            self._next = time.monotonic() + self._dice.uniform(0.5, 1.5) * self._pause

    def _kill_triggerer(self) -> bool:
        self._stack.restart("triggerer")
        return True

    def _kill_task(self, *, with_worker: bool) -> bool:
        """Kill a task, with its supervisor as when a machine is lost; False when none is running."""
        tasks = self._tasks()
        if not tasks:
            return False
        supervisor, task = self._dice.choice(tasks)
        with suppress(psutil.NoSuchProcess):
            # The supervisor first: without its task it would soon hold the lock of LocalExecutor's queue.
            if with_worker:
                supervisor.kill()
            task.kill()
            return True
        return False

    def _tasks(self) -> list[tuple[psutil.Process, psutil.Process]]:
        """Return the supervisor and the process of each task that is running."""
        named: dict[psutil.Process, str] = {}
        for process in psutil.Process(self._stack._parts["scheduler"].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                match = TASK.match(" ".join(process.cmdline()).strip())
                named |= {process: match[1]} if match else {}
        pairs = []
        for process, instance in named.items():
            with suppress(psutil.NoSuchProcess):
                parent = process.parent()
                pairs += [(parent, process)] if parent and named.get(parent) == instance else []
        return pairs
