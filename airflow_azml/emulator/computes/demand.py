"""Who waits for nodes: the runs that asked, per compute, in the order in which they first asked.

It is kept in memory only: after a restart the runs that still wait ask again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Demand:
    """Waiting runs and how many nodes each wants; safe to use from many threads.

    :param on_change: called after each change.
    """

    def __init__(self, on_change: Callable[[], object] = lambda: None) -> None:
        self._lock, self._on_change = threading.Lock(), on_change
        self._waiting: dict[str, dict[str, int]] = defaultdict(dict)

    def ask(self, compute: str, run_id: str, nodes: int) -> None:
        """Put the run at the end of the queue, unless it stands in it."""
        with self._lock:
            queue = self._waiting[compute.casefold()]
            changed = queue.get(run_id) != nodes
            queue[run_id] = nodes
        if changed:
            self._on_change()

    def withdraw(self, run_id: str) -> None:
        """Take the run out of whatever queue it stands in."""
        with self._lock:
            found = [queue.pop(run_id, None) for queue in self._waiting.values()]
        if any(found):
            self._on_change()

    def total(self, compute: str) -> int:
        """Return how many nodes are waited for."""
        with self._lock:
            return sum(self._waiting[compute.casefold()].values())

    def is_next(self, compute: str, run_id: str, idle: int) -> bool:
        """Tell whether the idle nodes suffice for the run and for all that stand before it."""
        with self._lock:
            for waiting, nodes in self._waiting[compute.casefold()].items():
                idle -= nodes
                if idle < 0:
                    return False
                if waiting == run_id:
                    return True
        return False
