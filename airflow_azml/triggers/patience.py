"""Patience during a wait: errors that may pass, and a log line now and then while a run is queued.

While a task waits, a refusal (401, 403, 404, ...) does not fail it at once. Like an outage, it is tried again until the
budget for unusable answers is spent: a secret may have been replaced, and a new role takes minutes to work.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from airflow_azml.client.transport.causes import Cause
from airflow_azml.client.transport.errors import AuthenticationError, AzureMLError, InputError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.lifecycle import Decision, Observation, Target

REFUSALS = (AuthenticationError, PermissionDeniedError, InputError)
"""After these the connection is read again: an InputError names what the connection lacks, for it is being edited."""
BUDGET = 1800.0
"""Seconds without any usable answer after which a trigger gives up."""
REREAD = 30.0
"""Seconds between two times that a trigger reads its connection again."""
FIRST, LONGEST = 60.0, 3600.0  # seconds between two signs of life


def may_pass(error: AzureMLError) -> AzureMLError:
    """Return the error as one that may pass: it is met while we wait."""
    if error.permanent:
        error.permanent, error.cause = False, Cause.TRANSIENT
    return error


def patient(look: Callable[[Target], Observation], target: Target) -> Observation:
    """Look at a target that is waited for: no error ends the wait at once."""
    try:
        return look(target)
    except AzureMLError as error:
        raise may_pass(error)  # noqa: B904 - it is the same error


class Queueing:
    """Signs of life of something that has not begun to run: after a minute, then after ever longer.

    :param target: what is waited for.
    :param started: when the wait began, Unix time.
    """

    __slots__ = ("_gap", "_next", "_started", "_target")

    def __init__(self, target: Target, started: float) -> None:
        self._target = target
        self._started = started
        self._gap = FIRST
        self._next = started + FIRST
        while self._next < time.time():  # another process has said it until now
            self._advance()

    def left(self, last: Decision | None) -> float:
        """Return the seconds until the next sign of life; they are infinite for something that is not queued."""
        queued = last and last.observation.phase == "pending"
        return max(self._next - time.time(), 0.0) if queued else math.inf

    def line(self, seen: Observation) -> str | None:
        """Return what to say now about something that was last seen so; None when nothing is due."""
        if seen.phase != "pending" or time.time() < self._next:
            return None
        self._advance()
        waits_for = f": {seen.detail}" if seen.detail else ""
        return f"{self._target}: still {seen.status} after {time.time() - self._started:.0f} s{waits_for}"

    def _advance(self) -> None:
        self._gap = min(2 * self._gap, LONGEST)
        self._next += self._gap
