"""The heartbeat of an engine: one thread that looks at the engine's items again and again until it is told to stop.

An item that fails stops no other one. Its failure is logged when it comes up, not at every beat.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Steps = Iterable[tuple[str, Callable[[], object]]]

log = logging.getLogger(__name__)


class Ticker:
    """Calls the steps of an engine every so many seconds, in a thread of its own.

    :param seconds: pause between two beats.
    :param steps: returns the steps of a beat: the name of an item, and what to do for it.
    :param name: name of the engine.
    """

    def __init__(self, seconds: float, steps: Callable[[], Steps], name: str) -> None:
        self._seconds, self._steps, self._name = seconds, steps, name
        self._failures: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first beat comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for a step that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self) -> None:
        """Make one step for each item."""
        try:
            for item, step in self._steps():
                self.attempt(item, step)
        except Exception as error:  # noqa: BLE001 - the heart of an engine must not stop; the log says what happened
            self._report("all", error)

    def attempt(self, item: str, step: Callable[[], object]) -> None:
        """Make one step; log its failure."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - likewise
            self._report(item, error)
        else:
            self._failures.pop(item, None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.beat()
            self._stopping.wait(self._seconds)

    def _report(self, item: str, error: Exception) -> None:
        said = repr(error)
        if self._failures.get(item) != said:
            self._failures[item] = said
            log.error("%s: a step for '%s' failed and is tried again", self._name, item, exc_info=error)
