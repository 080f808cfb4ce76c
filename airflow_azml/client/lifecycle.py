"""The state machine of every wait: for a run, compute, endpoint, deployment or model, and for deletions.

A :class:`Target` names the run or resource. An :class:`Observation` is its present state, read with the status table of
its kind, which is in the kind's own file in `resources`. :func:`decide` says what to do next.
Operators, sensors and triggers all wait through :class:`Watch`, so none of them knows a status by name.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.client.transport.longrunning import Operation

if TYPE_CHECKING:
    from collections.abc import Callable


class Phase(StrEnum):
    """What a status means, whatever its kind calls it."""

    PENDING = "pending"
    ACTIVE = "active"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    GONE = "gone"
    STOPPED = "stopped"

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen by itself; what is stopped may just be about to start."""
        return self in {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED, Phase.GONE}

    @property
    def failed(self) -> bool:
        """Whether it has come to a bad end."""
        return self in {Phase.FAILED, Phase.CANCELED}


class Goal(StrEnum):
    """How a wait is meant to end.

    ``PRESENT`` is ``SUCCEEDED`` for somebody who only watches: that it does not exist yet is no failure.
    """

    SUCCEEDED = "succeeded"
    PRESENT = "present"
    STOPPED = "stopped"
    GONE = "gone"


class Target(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, cache_hash=True):
    """Something remote and how the wait for it is meant to end. msgspec turns it into JSON and back.

    :param kind: what it is: the name of the client's attribute for such resources, such as ``runs``.
    :param name: run id, or name of the resource.
    :param parent: the experiment of a run, the endpoint of a deployment, the version of a model (any, when empty).
    :param goal: how the wait is meant to end.
    :param operation: the long-running operation that was started, if there is one.
    """

    kind: str
    name: str
    parent: str = ""
    goal: Goal = Goal.SUCCEEDED
    operation: Operation | None = None

    def __str__(self) -> str:
        return f"{singular(self.kind)} {self.name}"


def singular(kind: str) -> str:
    """Return what one resource of a kind is called: ``compute_instances`` is many, ``compute instance`` is one."""
    return kind.removesuffix("s").replace("_", " ")


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What the service says of a target now.

    It refers to texts only, so the garbage collector need not look at the thousands that come and go.

    :param phase: what its status means.
    :param status: the service's own word.
    :param detail: the service's reason, where it gives one: why it failed, or what it still waits for.
    :param started: when it began to run, in ISO 8601, where the service tells.
    :param known: whether the status is in the kind's table.
    """

    phase: Phase
    status: str
    detail: str = ""
    started: str | None = None
    known: bool = True

    @classmethod
    def of(cls, statuses: Statuses, status: str, detail: str = "", started: str | None = None) -> Observation:
        """Look up what a status means. One that nobody knows is active: a new word must not end a healthy run.

        :param statuses: the kind's table; its words are in lower case.
        """
        phase = statuses.get(status.casefold())
        # Thousands share a dozen words.
        return cls(phase or Phase.ACTIVE, sys.intern(status), detail, started, known=phase is not None)

    @property
    def began(self) -> float | None:
        """When it began to run, in Unix time; None when the service does not tell, or in no form that we know."""
        return unix_time(self.started)


Statuses = Mapping[str, Phase]
GONE = Observation(Phase.GONE, "NotFound")


def unix_time(text: object) -> float | None:
    """Return a time of the service in Unix time; None when it is none, or in no form that we know."""
    with suppress(ValueError, TypeError):
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]  # what is no text ends in its TypeError
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


class Policy(msgspec.Struct, frozen=True):
    """How to wait.

    :param poll_interval: seconds between two looks.
    :param timeout: seconds after which to give up; None waits as long as the service works.
    :param unreachable_timeout: seconds without any usable answer after which to give up.
    :param queue_timeout: seconds within which it has to begin to run.
    :param run_timeout: seconds for which it may run.
    """

    poll_interval: float = 5.0
    timeout: float | None = None
    unreachable_timeout: float = 1800.0
    queue_timeout: float | None = None
    run_timeout: float | None = None

    def next_limit(self, elapsed: float, ran: float | None) -> tuple[float, str]:
        """Return the seconds until the first limit is passed, and what is to be said then.

        :param elapsed: seconds since the wait began.
        :param ran: seconds since it began to run; None while it has not.
        """
        limits = (
            (self.timeout, elapsed, "had not ended after"),
            (self.queue_timeout, elapsed if ran is None else None, "had not begun to run after"),
            (self.run_timeout, ran, "had not ended after running for"),
        )
        left = (
            (limit - spent, f"{words} {limit:.0f} s")
            for limit, spent, words in limits
            if limit is not None and spent is not None
        )
        return min(left, default=(math.inf, ""))


class Verdict(StrEnum):
    """What a wait has come to."""

    CONTINUE = "continue"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"


class Decision(msgspec.Struct, frozen=True):
    """What to do next. msgspec turns it into JSON and back.

    :param verdict: whether the wait is over, and how.
    :param observation: what it rests on.
    :param wait: seconds until the next look, when it goes on.
    :param limit: which limit was passed, in words, when it timed out.
    """

    verdict: Verdict
    observation: Observation
    wait: float = 0.0
    limit: str = ""

    def after_cancel(self, seen: Observation, goal: Goal) -> Decision:
        """Return the decision after a timeout and a last look: the target may have reached its goal after all."""
        return Decision(Verdict.DONE, seen) if seen.phase is _WANTED[goal] else replace(self, observation=seen)


_WANTED = {
    Goal.SUCCEEDED: Phase.SUCCEEDED,
    Goal.PRESENT: Phase.SUCCEEDED,
    Goal.STOPPED: Phase.STOPPED,
    Goal.GONE: Phase.GONE,
}
# A deletion or a stop that was accepted may still show the last good state.
_NOT_YET = {Goal.GONE: Phase.SUCCEEDED, Goal.STOPPED: Phase.SUCCEEDED, Goal.PRESENT: Phase.GONE}


def decide(
    observation: Observation,
    elapsed: float,
    policy: Policy,
    goal: Goal = Goal.SUCCEEDED,
    ran: float | None = None,
) -> Decision:
    """Say what an observation means for a wait that has lasted `elapsed` seconds, `ran` of which it was running."""
    if observation.phase == _WANTED[goal]:
        return Decision(Verdict.DONE, observation)
    if observation.phase.terminal and observation.phase is not _NOT_YET.get(goal):
        return Decision(Verdict.FAILED, observation)
    left, limit = policy.next_limit(elapsed, ran)
    if left <= 0:
        return Decision(Verdict.TIMED_OUT, observation, limit=limit)
    return Decision(Verdict.CONTINUE, observation, min(policy.poll_interval, left))


class Watch:
    """One wait for one target: looks, remembers what it saw last, tolerates a service that does not answer.

    :param target: what is waited for.
    :param policy: how.
    :param started: when the wait began (Unix time), so that a deadline outlives the process that set it.
    :param log: called with a line of progress whenever the status changes.
    """

    __slots__ = ("_answered", "_began", "_clock", "_last", "_log", "policy", "started", "target")

    def __init__(
        self,
        target: Target,
        policy: Policy,
        *,
        started: float | None = None,
        log: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self.policy = policy
        self._clock = clock
        self.started = clock() if started is None else started
        self._log = log or _silent
        self._last = Observation(Phase.PENDING, "")
        self._answered = clock()
        self._began: float | None = None

    def step(self, look: Callable[[Target], Observation]) -> Decision:
        """Look once and decide. An error that may pass only makes the wait longer, within the policy's budget."""
        try:
            observation = look(self.target)
        except AzureMLError as error:
            if error.permanent:
                raise
            return self._unanswered(error)
        return self.judge(observation)

    def judge(self, observation: Observation) -> Decision:
        """Decide on what somebody else has seen."""
        self._answered = self._clock()
        self._tell(observation)
        return self._decide(observation)

    def left(self) -> float:
        """Return the seconds until the wait may time out."""
        return self.policy.next_limit(*self._spent())[0]

    def _decide(self, observation: Observation) -> Decision:
        elapsed, ran = self._spent()
        return decide(observation, elapsed, self.policy, self.target.goal, ran)

    def _spent(self) -> tuple[float, float | None]:
        """Return the seconds since the wait began, and those since its target began to run."""
        now = self._clock()
        return now - self.started, None if self._began is None else now - self._began

    def _tell(self, observation: Observation) -> None:
        last, self._last = self._last, observation
        if (began := observation.began) is not None:
            self._began = began
        elif self._began is None and observation.phase in {Phase.ACTIVE, Phase.CANCELING}:
            self._began = self._clock()
        waits_for = observation.detail if observation.phase is Phase.PENDING else ""
        if observation.status == last.status and (not waits_for or waits_for == last.detail):
            return
        news = "" if observation.known else " (unknown status)"
        before = f"{last.status} -> " if last.status not in {"", observation.status} else ""
        why = f" ({waits_for})" if waits_for else ""
        elapsed = self._clock() - self.started
        self._log(f"{self.target}: {before}{observation.status}{news} after {elapsed:.0f} s{why}")

    def _unanswered(self, error: AzureMLError) -> Decision:
        self._log(f"{self.target}: no usable answer, still waiting: {error}")
        if self._clock() - self._answered >= self.policy.unreachable_timeout:
            return Decision(Verdict.UNREACHABLE, Observation(self._last.phase, self._last.status, str(error)))
        elapsed, ran = self._spent()
        unseen = Observation(Phase.ACTIVE, self._last.status, str(error))
        decision = decide(unseen, elapsed, self.policy, self.target.goal, ran)
        return replace(decision, wait=max(decision.wait, error.retry_after or 0.0))


def _silent(_line: str) -> None:
    """Log nothing."""
