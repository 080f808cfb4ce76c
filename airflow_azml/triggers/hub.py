"""One poller for everything that a triggerer waits for through one connection.

A thousand deferred tasks must not become a thousand requests a poll. Their triggers register here; one asyncio task
per event loop and connection asks for all their runs in few calls and wakes only the trigger whose target has changed.
It reads states, not changes: a restarted triggerer registers its targets again and has lost nothing.

The poller starts with an empty context. Otherwise all its log lines would go to the log of the task whose trigger was
the first. The cancellation of a trigger does not end it. It ends when no trigger waits any more.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import random
import time
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from airflow_azml.client.lifecycle import Phase
from airflow_azml.client.transport.errors import AzureMLError, ServiceError
from airflow_azml.triggers.patience import REFUSALS, REREAD, may_pass
from airflow_azml.triggers.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Observation, Target
    from airflow_azml.triggers.run_log import RunLog

    News = Observation | AzureMLError

log = logging.getLogger(__name__)
# Requests of one poller are at least so many seconds apart, however much there is to ask: Resource Manager grants a
# principal 25 reads a second, of which the tasks themselves need some.
# https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
LEAST_GAP = 0.1
FIRST_LOOK = 1.0  # seconds at most until a poller begins: pollers that start together part, triggers that do so gather
LOG_GAP = 0.1  # seconds between two reads of logs: the rest of a log is read when the task ends
# Ends are told so many seconds apart: a triggerer that has to store thousands of events in one burst blocks its loop.
WAKE_GAP = 0.005
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[AzureMLClient, str], Hub]] = WeakKeyDictionary()


class Waiter:
    """One trigger's wait, within a `with` block. Only the latest news counts: it reads levels.

    :param hub: who asks.
    :param target: what it waits for.
    :param interval: seconds between two looks that it asks for.
    :param run_log: its log, to be shown in the task's while it runs.

    `refused` is True from a refusal (401, 403) on until somebody sets it to False: the connection has to be read again.
    """

    __slots__ = ("_answered", "_asks", "_hub", "_news", "_told", "_woken", "interval", "refused", "run_log", "target")

    def __init__(self, hub: Hub, target: Target, interval: float, run_log: RunLog | None) -> None:
        self.target = target
        self.interval = interval
        self.run_log = run_log
        self._hub = hub
        self.refused = False
        self._answered = time.monotonic()
        self._asks = -math.inf
        self._told: Observation | None = None
        self._news: News | None = None
        self._woken: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._hub.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.remove(self)

    def woken(self, seconds: float) -> asyncio.Future[None]:
        """Return what is done as soon as there is news, or the seconds are over; they may be infinite."""
        loop = asyncio.get_running_loop()
        self._woken = woken = loop.create_future()
        if self._news is not None or self.refused:
            woken.set_result(None)
        elif seconds != math.inf:
            timer = loop.call_later(max(seconds, 0.0), _finish, woken)
            woken.add_done_callback(lambda _: timer.cancel())
        return woken

    def take(self) -> Observation | None:
        """Return the target's latest status, None when there is no news; raise why the service cannot be asked."""
        news, self._news = self._news, None
        if isinstance(news, AzureMLError):
            raise news
        return news

    def tell(self, news: News) -> bool:
        """Wake the trigger if this is news to it; say whether it was."""
        now = time.monotonic()
        if isinstance(news, AzureMLError):
            if now - self._answered < self._hub.unreachable_timeout:
                self._refuse(news, now)
                return False
        else:
            self._answered = now
            if self._told and (news.status, news.detail) == (self._told.status, self._told.detail):
                return False
            self._told = news
        self.wake(news)
        return True

    def _refuse(self, error: AzureMLError, now: float) -> None:
        """Wake the trigger, now and then, to read its connection again."""
        if isinstance(error, REFUSALS) and now - self._asks >= REREAD:
            self._asks, self.refused = now, True
            if self._woken:
                _finish(self._woken)

    def wake(self, news: News) -> None:
        """Wake the trigger in any case."""
        self._news = news
        if self._woken:
            _finish(self._woken)


def _finish(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class Hub:
    """The poller of one connection in one event loop: for one kind that can be asked for many at a time, or for others.

    Runs are asked for many at a time, of the run history; most kinds one at a time, of Resource Manager. The two
    throttle on their own, so neither poller waits for the other.

    :param client: whom to ask.
    :param unreachable_timeout: seconds without any usable answer after which a waiting trigger gets an error.
    """

    def __init__(self, client: AzureMLClient, *, unreachable_timeout: float = 1800.0) -> None:
        self._client = client
        self.unreachable_timeout = unreachable_timeout
        self._waiters: OrderedDict[Target, tuple[Waiter, ...]] = OrderedDict()  # whose turn is next stands first
        self._interval = 0.0
        self._hurry = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._running: OrderedDict[Waiter, None] = OrderedDict()  # whose logs grow; whose turn is next stands first
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, client: AzureMLClient, target: Target) -> Hub:
        """Return the running loop's hub for such targets of the client."""
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        whose = (client, target.kind if client.of(target).batches else "")
        if whose not in hubs:
            hubs[whose] = cls(client)
        return hubs[whose]

    def watching(self, target: Target, interval: float, run_log: RunLog | None = None) -> Waiter:
        """Return a waiter that is told of every new status of the target, within `with`."""
        return Waiter(self, target, interval, run_log)

    def add(self, waiter: Waiter) -> None:
        """Put its target first in the queue, for it may have ended long ago; start the poller when there is none."""
        self._waiters[waiter.target] = (*self._waiters.get(waiter.target, ()), waiter)
        self._waiters.move_to_end(waiter.target, last=False)
        if self._poller is None or self._poller.done():
            self._interval = waiter.interval
            self._poller = asyncio.get_running_loop().create_task(self._poll(), context=contextvars.Context())
        elif waiter.interval < self._interval:
            self._interval = waiter.interval
            self._hurry.set()

    def remove(self, waiter: Waiter) -> None:
        """Ask for its target no more, unless another waits for it too."""
        self._running.pop(waiter, None)
        self._waiters[waiter.target] = tuple(other for other in self._waiters[waiter.target] if other is not waiter)
        if not self._waiters[waiter.target]:
            del self._waiters[waiter.target]

    async def _poll(self) -> None:
        try:
            await self._go_round()
        except Exception as error:  # a mistake of ours must not leave everybody waiting for ever
            log.exception("the poller of Azure ML failed")
            for target, group in self._waiters.items():
                for waiter in group:
                    waiter.wake(AzureMLError(f"the poller failed: {error!r}", operation=f"watch {target}"))

    async def _go_round(self) -> None:
        """Ask for those that have waited longest, again and again, so that each has its turn once an interval."""
        await asyncio.sleep(random.uniform(0, min(self._interval, FIRST_LOOK)))  # noqa: S311 - spreads load, guards nothing
        while self._waiters:
            began, targets = time.monotonic(), self._next()
            left_alone = await self._ask(targets)
            await self._rest(began, len(targets), time.monotonic() + left_alone)

    def _next(self) -> list[Target]:
        """Return whose turn it is, and put them last in the queue."""
        first = next(iter(self._waiters))
        targets = list(islice(self._waiters, self._client.of(first).batch_size))
        for target in targets:
            self._waiters.move_to_end(target)
        return targets

    async def _ask(self, targets: list[Target]) -> float:
        """Ask for the targets, tell their waiters; return the seconds that the service wants to be left alone."""
        look = partial(self._client.of(targets[0]).look_many, targets)
        try:
            seen = await in_thread(look)
        except Exception as error:  # a mistake of ours: it must not end the waits, and may concern this batch only
            log.exception("looking at %d targets failed", len(targets))
            seen = dict.fromkeys(targets, ServiceError(f"the poller failed: {error!r}", operation="look at targets"))
        errors = [may_pass(news) for news in seen.values() if isinstance(news, AzureMLError)]
        if errors:
            log.warning("no usable answer for %d of %d targets: %s", len(errors), len(targets), errors[0])
        await self._pass_on(seen)
        return max((error.retry_after or 0.0 for error in errors), default=0.0)

    async def _pass_on(self, seen: dict[Target, News]) -> None:
        for target, news in seen.items():
            group = self._waiters.get(target, ())
            woken = [waiter.tell(news) for waiter in group]
            if any(woken) and not isinstance(news, AzureMLError) and news.phase in {Phase.ACTIVE, Phase.CANCELING}:
                self._follow(group)
            if any(woken) and (isinstance(news, AzureMLError) or news.phase.terminal):
                await asyncio.sleep(WAKE_GAP)

    def _follow(self, group: Iterable[Waiter]) -> None:
        """Read the logs of those that want them from now on."""
        self._running.update((waiter, None) for waiter in group if waiter.run_log)
        if self._running and (self._reader is None or self._reader.done()):
            self._reader = asyncio.get_running_loop().create_task(self._read_logs(), context=contextvars.Context())

    async def _read_logs(self) -> None:
        """Read one log after the other, each once an interval, or as often as the gap between two reads allows."""
        while self._running:
            waiter = next(iter(self._running))
            self._running.move_to_end(waiter)
            await self._read_log(waiter)
            await asyncio.sleep(max(waiter.interval / max(len(self._running), 1), LOG_GAP))

    async def _read_log(self, waiter: Waiter) -> None:
        if waiter.run_log is None:
            return
        try:
            lines = await waiter.run_log.read(self._client)
            if waiter in self._running:  # otherwise the end of the task reads these lines again
                await waiter.run_log.show(lines)
        except Exception:  # a mistake of ours with one log must not end the others
            log.exception("the log of %s could not be read: it is shown when its task ends", waiter.target)
            self._running.pop(waiter, None)

    async def _rest(self, began: float, asked: int, earliest: float) -> None:
        """Wait until the next ones' turn; it comes earlier when somebody joins who is in more of a hurry."""
        self._interval = min((waiter.interval for group in self._waiters.values() for waiter in group), default=0.0)
        earliest = max(earliest, began + LEAST_GAP)
        while True:
            share = self._interval * asked / max(asked, len(self._waiters))
            left = max(earliest, began + share) - time.monotonic()
            if left <= 0:
                return
            self._hurry.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), left)
