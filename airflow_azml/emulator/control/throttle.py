"""How much a caller may ask for: the token buckets of Azure Resource Manager, and one for the regional services.

Off unless somebody wants it. It knows no route and no request; time is a clock's that tests can replace.
https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_azml.emulator.http.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket of requests.

    :param bucket: how many can be made at once.
    :param per_second: how many come back each second.
    """

    bucket: int
    per_second: float


# Per principal and subscription. Nothing is published of the regional services.
PUBLISHED = {
    "reads": Limit(250, 25),
    "writes": Limit(200, 10),
    "deletes": Limit(200, 10),
    "regional": Limit(250, 25),
}


class Throttle:
    """Counts the requests of every principal, and refuses those that are too many.

    :param clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.limit({})

    def limit(self, limits: Mapping[str, Limit]) -> None:
        """Begin anew with full buckets; what has no limit is not refused."""
        with self._lock:
            self.limits = dict(limits)
            self.refused = 0
            self._levels: dict[tuple[str, str], tuple[float, float]] = {}

    def admit(self, kind: str, principal: str) -> int:
        """Take a request from its bucket and return how many are left; 429 when there is none to take."""
        with self._lock:
            limit = self.limits[kind]
            now = self._clock()
            level, then = self._levels.get((kind, principal), (limit.bucket, now))
            level = min(limit.bucket, level + (now - then) * limit.per_second) - 1
            if level < 0:
                self.refused += 1
                raise _too_many(kind, principal, math.ceil(-level / limit.per_second))
            self._levels[kind, principal] = level, now
            return int(level)


def _too_many(kind: str, principal: str, seconds: int) -> Fault:
    code = "RequestThrottled" if kind == "regional" else "SubscriptionRequestsThrottled"
    message = f"Too many {kind} of actor '{principal}'. Please try again after '{seconds}' seconds."
    return Fault(429, code, message, headers={"Retry-After": str(seconds)})
