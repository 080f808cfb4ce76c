"""The one trigger: waits for any target of the state machine and reports how the wait ended.

Its arguments are plain JSON without secrets, because Airflow keeps them in its database. The trigger checks the
deadline itself, because `defer(timeout=...)` would fail the task without cancelling its run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from airflow.providers.common.compat.sdk import conf
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_azml.client.lifecycle import Policy, Target, Verdict, Watch
from airflow_azml.client.transport.errors import AzureMLError, to_event
from airflow_azml.client.transport.plain_json import storable
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.triggers.cancelling import cancel
from airflow_azml.triggers.hub import Hub
from airflow_azml.triggers.patience import BUDGET, REREAD, Queueing, patient
from airflow_azml.triggers.run_log import KEPT_EVERY, RunLog
from airflow_azml.triggers.threads import in_thread
from airflow_azml.triggers.xcom import TaskXCom

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Decision, Observation
    from airflow_azml.triggers.hub import Waiter

log = logging.getLogger(__name__)
_tell = log.info  # of the module: a logger, or a method, of its own would be much of the memory of a trigger
_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Lookup]] = WeakKeyDictionary()

# Cancelling takes its time, until it is seen: a hundred cleared tasks must not keep the others from being looked at.
_cancelling = ThreadPoolExecutor(max_workers=32, thread_name_prefix="azureml-cancel")
SETTLES = 2  # heartbeats of a worker: within one its supervisor looks at it; as long again for all that follows


class AzureMLTrigger(BaseTrigger):
    """Wait until a run, compute, endpoint or deployment has come to its end.

    :param azureml_conn_id: the connection to look through.
    :param target: a `Target` as JSON.
    :param poll_interval: seconds between two looks.
    :param timeout: seconds after `started` at which to give up; None waits as long as the service works.
    :param queue_timeout: seconds after `started` within which a run has to begin to run.
    :param run_timeout: seconds for which a run may run.
    :param started: when the wait began, Unix time; now when absent.
    :param cancel_on_kill: cancel the target when a user marks or clears the waiting task (Airflow 3.3 and later).
    :param log: `LogFollower.position` from which a run's log is shown in the task's; None shows nothing.
    :param end_task: end the task from here when the wait ends well, without another worker process (Airflow 3.3 and
        later; a worker does it on others).
    :param result_options: what the result of the target's kind takes, such as which metrics of a run.
    """

    def __init__(
        self,
        *,
        azureml_conn_id: str,
        target: dict[str, Any],
        poll_interval: float,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        run_timeout: float | None = None,
        started: float | None = None,
        cancel_on_kill: bool = False,
        log: dict[str, str] | None = None,
        end_task: bool = False,
        result_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no annotation there
        self.azureml_conn_id = azureml_conn_id
        self.target = msgspec.convert(target, Target)
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.queue_timeout = queue_timeout
        self.run_timeout = run_timeout
        self.started = time.time() if started is None else started
        self.cancel_on_kill = cancel_on_kill
        self.log_position = log
        self.end_task = end_task
        self.result_options = result_options or None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another triggerer needs to take over."""
        arguments = {name: getattr(self, name) for name in _ARGUMENTS}
        arguments |= {"target": msgspec.to_builtins(self.target), "log": self.log_position}
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the wait is over, then fire one event.

        Thousands wait here at once: no other frame stands between this one and the future that it waits for.
        """
        settled = time.monotonic() + SETTLES * _worker_heartbeat()
        try:
            watch, run_log, decision = self._watch(), self._run_log(), None
            queueing, newer = Queueing(self.target, self.started), await _first_client(self.azureml_conn_id)
            while decision is None or decision.verdict is Verdict.CONTINUE:
                client = newer
                with Hub.of(client, self.target).watching(self.target, self.poll_interval, run_log) as waiter:
                    while newer is client and (decision is None or decision.verdict is Verdict.CONTINUE):
                        await waiter.woken(min(watch.left(), queueing.left(decision)))
                        decision = await _decision(client, watch, waiter, queueing, decision)
                        newer = await _newer(self.azureml_conn_id, client, waiter)
            event = await self._event(client, decision, run_log.position if run_log else None)
        except AzureMLError as error:
            event = TriggerEvent(storable({"target": msgspec.to_builtins(self.target), "error": to_event(error)}))
        # The worker's supervisor may notice late that the deferring process has ended. An event before that would queue
        # the task again under its hands, and the scheduler would take the report of the first end for a failure
        # (https://github.com/apache/airflow/issues/72716). Only what ends within seconds has to wait for it.
        await asyncio.sleep(max(settled - time.monotonic(), 0.0))
        yield event

    async def on_kill(self) -> None:
        """Cancel the target: a user has marked or cleared the task while it was deferred."""
        if self.cancel_on_kill:
            client = await client_of(self.azureml_conn_id)
            await in_thread(partial(cancel, client, self.target, "its task was stopped", log), _cancelling)

    def _watch(self) -> Watch:
        policy = _policy(self.poll_interval, self.timeout, self.queue_timeout, self.run_timeout)
        return Watch(self.target, policy, started=self.started, log=_tell)

    def _run_log(self) -> RunLog | None:
        if self.log_position is None:
            return None
        waited = time.time() - self.started > KEPT_EVERY
        return RunLog(self.target, self.log_position, TaskXCom(self.task_instance), recalls=waited)

    async def _event(self, client: AzureMLClient, decision: Decision, shown: dict[str, str] | None) -> TriggerEvent:
        xcom = TaskXCom(self.task_instance)
        if decision.verdict is Verdict.TIMED_OUT and self.cancel_on_kill:
            decision = await self._cancelled(client, decision)
        if self.end_task and xcom and decision.verdict is Verdict.DONE:
            result = await in_thread(partial(self._end, client, decision.observation, shown))
            await xcom.set("return_value", result)
            return TaskSuccessEvent()
        told = {"target": self.target, "decision": decision, "log": shown}
        return TriggerEvent(storable(msgspec.to_builtins(told)))

    async def _cancelled(self, client: AzureMLClient, decision: Decision) -> Decision:
        """Cancel what has run out of time from here: a worker may be long in coming, and only reports it."""
        try:
            seen = await in_thread(partial(cancel, client, self.target, "its time is over", log), _cancelling)
        except AzureMLError as error:
            log.warning("%s: not cancelled by the trigger: %s", self.target, error)
            return decision  # the worker tries again, and says why when it fails
        return decision.after_cancel(seen, self.target.goal)

    def _end(self, client: AzureMLClient, seen: Observation, shown: dict[str, str] | None) -> dict[str, Any]:
        """Do what the task would have done in a worker."""
        if shown is not None:
            follower = client.logs.follow(self.target, shown)
            follower.tell(follower.rest())
        return client.result(self.target, seen, **(self.result_options or {}))


_ARGUMENTS = (
    "azureml_conn_id", "poll_interval", "timeout", "queue_timeout", "run_timeout", "started",
    "cancel_on_kill", "end_task", "result_options",
)  # fmt: skip


async def _decision(
    client: AzureMLClient, watch: Watch, waiter: Waiter, queueing: Queueing, last: Decision | None
) -> Decision | None:
    """Return what follows from the news, or from a limit that has passed; the last decision when there is neither."""
    if news := waiter.take():
        return watch.judge(news)
    if watch.left() <= 0:  # one more look: a run that has just ended has not timed out
        return await in_thread(partial(watch.step, partial(patient, client.look)))
    if last and (line := queueing.line(last.observation)):
        _tell(line)
    return last


async def _first_client(azureml_conn_id: str) -> AzureMLClient:
    """Return the connection's client. One that is being edited, and lacks a field, is read again and again."""
    until = time.monotonic() + BUDGET
    while True:
        try:
            return await client_of(azureml_conn_id)
        except AzureMLError as error:
            if time.monotonic() >= until:
                raise
            log.warning("the connection cannot be used now: %s", error)
            await asyncio.sleep(REREAD)


async def _newer(azureml_conn_id: str, client: AzureMLClient, waiter: Waiter) -> AzureMLClient:
    """After a refusal, return the client of the connection as it is now: another one, if its secret was replaced."""
    if not waiter.refused:
        return client
    waiter.refused = False
    try:
        newer = await client_of(azureml_conn_id)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the connection now: the wait goes on
        log.warning("the connection could not be read again: %s", error)
        return client
    if newer is not client:
        log.info("the connection has changed: the wait goes on with its new settings")
    return newer


@cache
def _policy(
    poll_interval: float, timeout: float | None, queue_timeout: float | None, run_timeout: float | None
) -> Policy:
    """Return one policy for all that wait alike."""
    return Policy(poll_interval, timeout, queue_timeout=queue_timeout, run_timeout=run_timeout)


@cache
def _worker_heartbeat() -> float:
    """Return the seconds after which a worker's supervisor looks at its task at the latest."""
    return float(conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0))


class _Lookup(asyncio.Task["AzureMLClient"]):
    """What thousands may wait for: none of them can cancel it for the others, and none needs a shield of its own."""

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002 - asyncio's signature
        """Go on: whoever is cancelled is so when this is done, within moments."""
        return False


async def client_of(azureml_conn_id: str) -> AzureMLClient:
    """Return the connection's client. Triggers that start together, as after a restart, look it up together."""
    loop = asyncio.get_running_loop()
    lookups = _lookups.setdefault(loop, {})
    if azureml_conn_id not in lookups:
        lookups[azureml_conn_id] = _Lookup(AzureMLHook.aclient(azureml_conn_id), loop=loop)
        lookups[azureml_conn_id].add_done_callback(lambda _: lookups.pop(azureml_conn_id))
    return await lookups[azureml_conn_id]
