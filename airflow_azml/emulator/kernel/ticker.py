"""The heartbeat of an engine: one thread that looks at the engine's items when there may be something to do for them.

That is after each commit of the store, when the engine said that something is due, and when somebody wakes it. In
between it sleeps: an emulator that nobody uses costs nothing. An item that fails stops no other one. Its failure is
logged when it comes up, not at every beat.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_azml.emulator.kernel.store import Store

    Steps = Iterable[tuple[str, Callable[[], object]]]

LONGEST = 10.0  # seconds of sleep, because the clock of the machine can be set, and the machine can be suspended
log = logging.getLogger(__name__)


class Ticker:
    """Makes the steps of an engine, in a thread of its own.

    :param store: whose commits it looks at.
    :param seconds: shortest time between two beats, so that many commits cause one beat.
    :param steps: returns the steps of a beat: the name of an item, and what to do for it.
    :param name: name of the engine.
    """

    def __init__(self, store: Store, seconds: float, steps: Callable[[], Steps], name: str) -> None:
        self._seconds, self._steps, self._name = seconds, steps, name
        self._failures: dict[str, str] = {}
        self._due = 0.0
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        store.watchers.append(self.wake)

    def start(self) -> None:
        """Begin; the first beat comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for a step that is under way."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Ask for a beat, because something has changed that is not in the store."""
        self._woken.set()

    def wake_at(self, moment: float) -> None:
        """Ask for a beat at a time, from within a beat; it is forgotten when there is a beat before."""
        self._due = min(self._due, moment)

    def is_due(self, moment: float) -> bool:
        """Tell, within a beat, whether a time has come; if not, ask for a beat when it comes."""
        if moment <= time.time():
            return True
        self.wake_at(moment)
        return False

    def beat(self) -> None:
        """Make one step for each item."""
        self._due = time.time() + LONGEST
        try:
            for item, step in self._steps():
                self.attempt(item, step)
        except Exception as error:  # noqa: BLE001 - the heart of an engine must not stop; the log says what happened
            self._report("all", error)

    def attempt(self, item: str, step: Callable[[], object]) -> None:
        """Make one step; log its failure and ask for another beat."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - likewise
            self._report(item, error)
        else:
            self._failures.pop(item, None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self.beat()
            self._stopping.wait(self._seconds)
            self._woken.wait(self._due - time.time())

    def _report(self, item: str, error: Exception) -> None:
        self.wake()
        said = repr(error)
        if self._failures.get(item) != said:
            self._failures[item] = said
            log.error("%s: a step for '%s' failed and is tried again", self._name, item, exc_info=error)
