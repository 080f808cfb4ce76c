"""Kill the emulator at one of its commits, so that tests can see what is left of a step that was cut in two.

`AZUREML_EMULATOR_CRASH=before:7` kills it when the seventh change is written but not committed, `after:7` when it is
committed but not answered yet. `make crashes` does this at random.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from airflow_azml.emulator.kernel.state import StateError

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Moment

VARIABLE = "AZUREML_EMULATOR_CRASH"


class Crash:
    """Counts commits, and kills the process at the one that the environment variable names.

    Raises StateError when the variable names none.
    """

    def __init__(self) -> None:
        wanted = os.environ.get(VARIABLE, "")
        if wanted and not re.fullmatch("(before|after):[1-9][0-9]*", wanted):
            raise StateError(f"{VARIABLE}={wanted} names no commit: write before:N or after:N, with N from 1")
        moment, _, number = wanted.partition(":")
        self._moment, self._left = moment, int(number or 0)

    def __call__(self, moment: Moment) -> None:
        """Take note of a commit. The store calls this for one commit at a time."""
        if moment == self._moment:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
