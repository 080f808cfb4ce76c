"""The heartbeat of an engine: one thread that calls it again and again until it is told to stop."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Ticker:
    """Calls a function every so many seconds, in a thread of its own.

    :param seconds: pause between two calls.
    :param work: what to call.
    :param name: name of the thread.
    """

    def __init__(self, seconds: float, work: Callable[[], None], name: str) -> None:
        self._seconds, self._work = seconds, work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first call comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for a call that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception:  # the heart of an engine must not stop at one bad beat; the log says what happened
                log.exception("%s: a step failed", self._thread.name)
            self._stopping.wait(self._seconds)
