"""Kill the emulator at one of its commits, so that tests can see what is left of a step that was cut in two.

`AZUREML_EMULATOR_CRASH=before:7` kills it when the seventh change is written but not committed, `after:7` when it is
committed and nobody has been told.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Moment

VARIABLE = "AZUREML_EMULATOR_CRASH"


class Crash:
    """Counts commits, and kills the process at the one that the environment variable names."""

    def __init__(self) -> None:
        moment, _, number = os.environ.get(VARIABLE, "").partition(":")
        self._moment, self._left = moment, int(number or 0)

    def __call__(self, moment: Moment) -> None:
        """Take note of a commit. The store calls this for one commit at a time."""
        if moment == self._moment:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
