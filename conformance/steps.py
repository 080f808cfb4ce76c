"""Steps of a conformance script: named, run in order, each said as it ends.

Standard library only: it runs in the venvs of the SDKs.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Steps:
    """The steps of one script; a step that fails does not keep the later ones from being tried.

    :param title: what the last line says before the numbers.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._steps: list[tuple[str, Callable[[], None]]] = []

    def __call__(self, step: Callable[[], None]) -> Callable[[], None]:
        """Add a step: a function that asserts what must have happened; its docstring is its name."""
        self._steps.append(((step.__doc__ or step.__name__).rstrip("."), step))
        return step

    def run(self) -> int:
        """Run them all and return the exit code."""
        passed = sum(_passes(name, step) for name, step in self._steps)
        print(f"{self._title}: {passed} of {len(self._steps)} steps", flush=True)
        return int(passed < len(self._steps))


@contextmanager
def raises(kind: type[Exception], text: str) -> Iterator[None]:
    """Assert that the block raises an exception whose message has the text."""
    try:
        yield
    except kind as error:
        if text in str(error):
            return
        raise
    raise AssertionError(f"no {kind.__name__}")


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _passes(name: str, step: Callable[[], None]) -> bool:
    began = time.monotonic()
    try:
        step()
    except Exception:  # noqa: BLE001 - whatever an SDK raises is this step's failure, not the others'
        print(f"FAILED  {name}", flush=True)
        traceback.print_exc(file=sys.stdout)
        return False
    print(f"ok      {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return True
