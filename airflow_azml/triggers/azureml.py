"""The one trigger: waits for any target of the state machine and reports how the wait ended.

Its arguments are plain JSON without secrets, because Airflow keeps them in its database. The deadline lives in here and
not in `defer(timeout=...)`, which would fail the task without giving it a chance to cancel the remote run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_azml.client.errors import AzureMLError
from airflow_azml.client.lifecycle import Decision, Policy, Target, Verdict, Watch
from airflow_azml.client.targets import cancel, look
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.triggers.hub import Hub, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_azml.client.azureml import AzureMLClient

log = logging.getLogger(__name__)
_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[AzureMLClient]]] = WeakKeyDictionary()

# Cancelling takes its time, until it is seen: a hundred cleared tasks must not keep the others from being looked at.
_cancelling = ThreadPoolExecutor(max_workers=32, thread_name_prefix="azureml-cancel")


class AzureMLTrigger(BaseTrigger):
    """Wait until a run, compute, endpoint or deployment has come to its end.

    :param azureml_conn_id: the connection to look through.
    :param target: `Target.as_json()`.
    :param poll_interval: seconds between two looks.
    :param timeout: seconds after `started` at which to give up; None waits as long as the service works.
    :param started: when the wait began, Unix time; now when absent.
    :param cancel_on_kill: cancel the target when a user marks or clears the waiting task (Airflow 3.3 and later).
    """

    def __init__(
        self,
        *,
        azureml_conn_id: str,
        target: dict[str, str],
        poll_interval: float,
        timeout: float | None = None,
        started: float | None = None,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no annotation there
        self.azureml_conn_id = azureml_conn_id
        self.target = target
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.started = time.time() if started is None else started
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another triggerer needs to take over."""
        names = ("azureml_conn_id", "target", "poll_interval", "timeout", "started", "cancel_on_kill")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the wait is over, then fire one event."""
        settled = time.monotonic() + _worker_heartbeat()
        try:
            event = self._event(await self._wait())
        except AzureMLError as error:
            event = TriggerEvent({"target": self.target, "error": str(error), "permanent": error.permanent})
        # The worker's supervisor may notice so late that the deferring process has ended. An event before that would
        # queue the task again under its hands, and the scheduler would take the report of the first end for a failure.
        await asyncio.sleep(max(settled - time.monotonic(), 0.0))
        yield event

    async def on_kill(self) -> None:
        """Cancel the target: a user has marked or cleared the task while it was deferred."""
        if self.cancel_on_kill:
            client = await client_of(self.azureml_conn_id)
            await in_thread(partial(cancel, client, Target.from_json(self.target)), _cancelling)

    async def _wait(self) -> Decision:
        client = await client_of(self.azureml_conn_id)
        policy = Policy(self.poll_interval, self.timeout)
        # The module's logger: one per trigger would take as much memory as the rest of it.
        watch = Watch(Target.from_json(self.target), policy, started=self.started, log=log.info)
        with Hub.of(client, watch.target).watching(watch.target, self.poll_interval) as waiter:
            while True:
                left = None if self.timeout is None else max(self.started + self.timeout - time.time(), 0.0)
                news = await waiter.next(left)
                # At the deadline one more look: a run that has just ended has not timed out.
                decision = watch.judge(news) if news else await in_thread(partial(watch.step, partial(look, client)))
                if decision.verdict is not Verdict.CONTINUE:
                    return decision

    def _event(self, decision: Decision) -> TriggerEvent:
        return TriggerEvent({"target": self.target, "decision": decision.as_json()})


def _worker_heartbeat() -> float:
    """Return the seconds after which a worker's supervisor looks at its task at the latest."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - the triggerer has it loaded

    return float(conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0))


async def client_of(azureml_conn_id: str) -> AzureMLClient:
    """Return the connection's client. Triggers that start together, as after a restart, look it up together."""
    loop = asyncio.get_running_loop()
    lookups = _lookups.setdefault(loop, {})
    if azureml_conn_id not in lookups:
        lookups[azureml_conn_id] = loop.create_task(AzureMLHook.aclient(azureml_conn_id))
        lookups[azureml_conn_id].add_done_callback(lambda _: lookups.pop(azureml_conn_id))
    return await asyncio.shield(lookups[azureml_conn_id])  # the first one's cancellation is not the others'
