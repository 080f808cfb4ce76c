"""When a request is sent again, and after how long.

Reads, and writes that can be repeated, are repeated on the statuses that Microsoft's own clients repeat. A POST is
repeated only when it certainly did nothing: no connection, or an answer of "too many requests" (429) or of "later" (503
with Retry-After). Full jitter keeps thousands of tasks that failed together from coming back together.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from airflow_azml.client.transport.errors import AzureMLError, ConnectionFailedError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Retry = Literal["auto", "always", "never"]
"""``auto``: by method. ``always``: this POST only reads, or has an id of ours. ``never``: the caller decides."""

STATUSES = frozenset({408, 429, 500, 502, 503, 504, 530})
"""What may pass; 530 is Azure ML's own "warming up"."""
_THROTTLED, _LATER = 429, 503


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient the client is.

    :param tries: how often a request is sent at most.
    :param base: seconds before the first repetition, at most; doubled for each further one.
    :param throttled: seconds after "too many requests" without a wait: none of the recorded answers had a Retry-After,
        and this is what their messages named.
    :param cap: the longest wait in seconds; a service that asks for more gets its error raised, with ``retry_after``.
    """

    tries: int = 5
    base: float = 1.0
    throttled: float = 20.0
    cap: float = 60.0

    def repeat(
        self,
        attempt: Callable[[], T],
        may_repeat: Callable[[AzureMLError], bool],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> T:
        """Call until it goes well, and return what it returned; raise the last error when no further try may follow.

        :param may_repeat: whether an error may be followed by another try.
        """

        def passes(error: BaseException) -> bool:
            return isinstance(error, AzureMLError) and (error.retry_after or 0) <= self.cap and may_repeat(error)

        def wait(state: RetryCallState) -> float:
            error = state.outcome and state.outcome.exception()
            asked = getattr(error, "retry_after", None)
            default = self.throttled if isinstance(error, ThrottledError) else None
            return self.delay(state.attempt_number, default if asked is None else asked)

        stop, retry = stop_after_attempt(self.tries), retry_if_exception(passes)
        return Retrying(stop=stop, retry=retry, wait=wait, sleep=sleep, reraise=True)(attempt)

    def repeats(self, method: str, retry: Retry, error: AzureMLError) -> bool:
        """Say whether a request that ended in this error may be sent again."""
        if retry == "never" or error.permanent:
            return False
        if isinstance(error, ConnectionFailedError):
            may_pass, did_nothing = True, not error.sent
        else:
            may_pass = error.status_code in STATUSES
            did_nothing = error.status_code == _THROTTLED or (
                error.status_code == _LATER and error.retry_after is not None
            )
        return may_pass and (retry == "always" or method != "POST" or did_nothing)

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after this attempt (1, 2, ...)."""
        spread = random.uniform(0, min(self.cap, self.base * 2 ** (attempt - 1)))  # noqa: S311 - spreads load, guards nothing
        return spread if retry_after is None else retry_after + min(spread, 1.0)
