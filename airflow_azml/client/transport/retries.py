"""When a request is sent again, and after how long.

Reads and writes that can be repeated are repeated on the statuses that Microsoft's own clients repeat. A POST is
repeated only when it certainly did not happen: no connection, or the service itself said "later" (429 or 503 with
Retry-After). Full jitter keeps thousands of tasks that failed together from coming back together.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Retry = Literal["auto", "always", "never"]
"""``auto``: by method. ``always``: this POST only reads, or has an id of ours. ``never``: the caller decides."""

_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 530})
_LATER = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient the client is.

    :param tries: how often a request is sent at most.
    :param base: seconds before the first repetition, at most; doubled for each further one.
    :param cap: the longest wait in seconds; a service that asks for more gets its error raised, with ``retry_after``.
    """

    tries: int = 5
    base: float = 1.0
    cap: float = 60.0

    def answered(self, method: str, status: int, retry: Retry, retry_after: float | None) -> bool:
        """Say whether a request that got this status may be sent again."""
        if retry == "never" or status not in _STATUSES:
            return False
        return retry == "always" or method != "POST" or (status in _LATER and retry_after is not None)

    def unanswered(self, method: str, retry: Retry, *, sent: bool) -> bool:
        """Say whether a request that got no answer may be sent again."""
        return retry != "never" and (retry == "always" or method != "POST" or not sent)

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after this attempt (1, 2, ...)."""
        spread = random.uniform(0, min(self.cap, self.base * 2 ** (attempt - 1)))  # noqa: S311 - spreads load, guards nothing
        return spread if retry_after is None else retry_after + min(spread, 1.0)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait: milliseconds, seconds or a date."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if _is_number(headers.get(name)):
            return max(0.0, float(headers[name]) / 1000)
    value = headers.get("Retry-After")
    if value is None:
        return None
    if _is_number(value):
        return max(0.0, float(value))
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _is_number(value: str | None) -> bool:
    return value is not None and value.strip().replace(".", "", 1).isdigit()
