"""One poller for everything that a triggerer waits for through one connection.

A thousand deferred tasks must not become a thousand requests a poll. Their triggers register here; one asyncio task
per event loop and connection asks for all their runs in few calls and wakes only the trigger whose target has changed.
It reads levels, not edges: a restarted triggerer registers its targets again and has lost nothing.

The poller starts with an empty context, or all its log lines would land in the log of the one task whose trigger
happened to come first; no trigger's cancellation ends it; it ends by itself when nobody waits any more.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from airflow_azml.client.errors import AzureMLError
from airflow_azml.client.lifecycle import Kind
from airflow_azml.client.targets import look_at_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Observation, Target

log = logging.getLogger(__name__)
OTHERS_AT_ONCE = 10
Result = TypeVar("Result")
# HTTP is synchronous; a small pool of its own keeps it off the triggerer's loop and out of others' way.
_executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="azureml")
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[AzureMLClient, Hub]] = WeakKeyDictionary()


@dataclass(eq=False, slots=True)
class Waiter:
    """One trigger's wait.

    :param target: what it waits for.
    :param interval: seconds between two looks that it asks for.
    """

    target: Target
    interval: float
    _news: asyncio.Queue[Observation | AzureMLError] = field(default_factory=asyncio.Queue)
    _told: str = ""

    async def next(self, seconds: float | None) -> Observation | None:
        """Return the target's next status, None when there is none in time; raise why the service cannot be asked."""
        try:
            news = await asyncio.wait_for(self._news.get(), seconds)
        except TimeoutError:
            return None
        if isinstance(news, AzureMLError):
            raise news
        return news

    def tell(self, news: Observation | AzureMLError) -> None:
        """Wake the trigger, if this is news to it."""
        if isinstance(news, AzureMLError):
            self._news.put_nowait(news)
        elif news.status != self._told:
            self._told = news.status
            self._news.put_nowait(news)


class Hub:
    """The poller of one connection in one event loop.

    :param client: whom to ask.
    :param unreachable_timeout: seconds without any usable answer after which the waiting triggers are told.
    """

    def __init__(self, client: AzureMLClient, unreachable_timeout: float = 1800.0) -> None:
        self._client = client
        self._unreachable_timeout = unreachable_timeout
        self._waiters: dict[Target, set[Waiter]] = defaultdict(set)
        self._poller: asyncio.Task[None] | None = None
        self._answered = time.monotonic()

    @classmethod
    def of(cls, client: AzureMLClient) -> Hub:
        """Return the running loop's hub for the client."""
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        return hubs.setdefault(client, cls(client))

    @asynccontextmanager
    async def watching(self, target: Target, interval: float) -> AsyncIterator[Waiter]:
        """Be told of every new status of the target, within `async with`."""
        waiter = Waiter(target, interval)
        self._waiters[target].add(waiter)
        if self._poller is None or self._poller.done():
            self._answered = time.monotonic()
            self._poller = asyncio.get_running_loop().create_task(self._poll(), context=contextvars.Context())
        try:
            yield waiter
        finally:
            self._waiters[target].discard(waiter)
            if not self._waiters[target]:
                del self._waiters[target]

    async def _poll(self) -> None:
        try:
            await self._go_round()
        except Exception as error:  # a mistake of ours must not leave everybody waiting for ever
            log.exception("the poller of Azure ML failed")
            for target in tuple(self._waiters):
                self._tell(target, AzureMLError(f"the poller failed: {error!r}", operation=f"watch {target}"))

    async def _go_round(self) -> None:
        """Ask for all targets, evenly over the interval, again and again as long as there are any."""
        await asyncio.sleep(random.uniform(0, self._interval()))  # noqa: S311 - spreads load, guards nothing
        while self._waiters:
            began, chunks = time.monotonic(), self._chunks()
            for number, chunk in enumerate(chunks, start=1):
                wait = await self._ask(chunk)
                due = began + self._interval() * number / len(chunks)
                await asyncio.sleep(max(wait, due - time.monotonic(), 0))

    async def _ask(self, targets: list[Target]) -> float:
        """Ask for the targets, tell their waiters; return the seconds that the service wants to be left alone."""
        try:
            seen = await in_thread(partial(look_at_all, self._client, targets))
        except AzureMLError as error:
            return self._unanswered(targets, error)
        self._answered = time.monotonic()
        for target, observation in seen.items():
            self._tell(target, observation)
        return 0.0

    def _unanswered(self, targets: list[Target], error: AzureMLError) -> float:
        log.warning("no usable answer for %d targets, still waiting: %s", len(targets), error)
        if error.permanent or time.monotonic() - self._answered >= self._unreachable_timeout:
            for target in targets:
                self._tell(target, error)
        return error.retry_after or 0.0

    def _tell(self, target: Target, news: Observation | AzureMLError) -> None:
        for waiter in self._waiters.get(target, ()):
            waiter.tell(news)

    def _chunks(self) -> list[list[Target]]:
        """Many runs make one request; whatever else there is makes one each, so few of them go together."""
        runs = [target for target in self._waiters if target.kind is Kind.RUN]
        others = [target for target in self._waiters if target.kind is not Kind.RUN]
        return [*_split(runs, self._client.runs.batch_size), *_split(others, OTHERS_AT_ONCE)]

    def _interval(self) -> float:
        return min((waiter.interval for group in self._waiters.values() for waiter in group), default=1.0)


def _split(targets: list[Target], size: int) -> list[list[Target]]:
    return [targets[start : start + size] for start in range(0, len(targets), size)]


async def in_thread(call: Callable[[], Result]) -> Result:
    """Run a blocking call beside the event loop, in the caller's context: it says whose log its lines belong to."""
    return await asyncio.get_running_loop().run_in_executor(_executor, contextvars.copy_context().run, call)
