"""Airflow's own task runner without its database: tasks are rendered, executed, deferred and resumed as in a worker.

Only the supervisor's end is played: XComs, rendered fields and task state are kept in dictionaries. A deferred task's
trigger is rebuilt from what would stand in the database, run in an event loop, and the task resumed with its event.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import structlog
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun, TaskInstance, TIRunContext
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DeferTask,
    GetTaskStates,
    GetTaskStateStore,
    GetXCom,
    GetXComSequenceSlice,
    InactiveAssetsResult,
    SetRenderedFields,
    SetTaskStateStore,
    SetXCom,
    TaskStatesResult,
    TaskStateStoreResult,
    ValidateInletsAndOutlets,
    XComResult,
    XComSequenceSliceResult,
)
from airflow.sdk.execution_time.supervisor import set_supervisor_comms
from airflow.sdk.serde import deserialize, serialize
from airflow.triggers.base import BaseTaskEndEvent, TriggerEvent

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Outcome:
    """How one process of a task ended.

    :param state: success, failed, up_for_retry, deferred or up_for_reschedule.
    :param message: what the task told its supervisor at the end.
    :param error: the exception that it ended with.
    """

    state: str
    message: Any
    error: BaseException | None
    harness: Airflow
    task: Any

    @property
    def xcom(self) -> dict[str, Any]:
        return self.harness.xcoms[self.task.task_id]

    @property
    def result(self) -> Any:
        """Return what the task pushed, which must be plain JSON."""
        assert self.state == "success", f"{self.state}: {self.error}"
        return json.loads(json.dumps(self.xcom.get("return_value")))

    @property
    def trigger(self) -> Any:
        """Rebuild the trigger from what stands in the database."""
        assert isinstance(self.message, DeferTask), f"{self.state}: {self.error}"
        stored = json.loads(json.dumps(self.message.trigger_kwargs))
        module, _, name = self.message.classpath.rpartition(".")
        return getattr(import_module(module), name)(**deserialize(stored))


@dataclass
class Airflow:
    """One DAG run in which tasks are run one by one. Another object is another database, or a re-created dag run.

    :param fileloc: where the DAG file would be: paths of its tasks are relative to its folder.
    :param states: what Airflow would say of a task, where that is not that it runs.
    :param line: held by whoever talks to the supervisor, as in a worker.
    :param store: the task state store, by dag run, task and key; None for an Airflow before 3.3, which has none.
    :param expiries: when each key of the store expires.
    """

    fileloc: str = __file__
    dag_id: str = "shop"
    run_id: str = "manual__1"
    params: dict[str, Any] = field(default_factory=dict)
    xcoms: dict[str, dict[str, Any]] = field(default_factory=dict)
    rendered: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    line: threading.Lock = field(default_factory=threading.Lock)
    store: dict[tuple[str, str, str], Any] | None = field(default_factory=dict)
    expiries: dict[str, datetime | None] = field(default_factory=dict)

    def dag(self) -> DAG:
        dag = DAG(self.dag_id, schedule=None, start_date=NOW, params=self.params)
        dag.fileloc = self.fileloc
        return dag

    def run(self, operator: type, *, try_number: int = 1, max_tries: int | None = None, **fields: Any) -> Outcome:
        """Make a task of the operator and run its try.

        :param max_tries: of the task instance; a clear has set it to the tries so far plus the task's retries.
        """
        with self.dag():
            task = operator(task_id=fields.pop("task_id", "task"), **fields)
        return self.run_task(task, try_number, task.retries if max_tries is None else max_tries)

    def run_task(self, task: Any, try_number: int = 1, max_tries: int = 0, **server: Any) -> Outcome:
        """Run one process of a task, from rendering to its end."""
        ti = self.instance(task, try_number, max_tries, **server)
        with set_supervisor_comms(_Supervisor(self, task.task_id)):
            context, log = ti.get_template_context(), structlog.get_logger("task")
            if self.store is None:
                del context["task_state_store"]
            state, message, error = task_runner.run(ti, context, log)
            task_runner.finalize(ti, state, context, log, error)
        return Outcome(state.value, message, error, self, ti.task)

    def instance(self, task: Any, try_number: int = 1, max_tries: int = 0, **server: Any) -> Any:
        """Return the task instance as Airflow's worker makes it."""
        dag_run = DagRun(
            dag_id=self.dag_id, run_id=self.run_id, logical_date=NOW, data_interval_start=NOW, data_interval_end=NOW,
            run_after=NOW, start_date=NOW, end_date=None, run_type="manual", state="running",
            consumed_asset_events=[], partition_key=None,
        )  # fmt: skip
        retry = try_number <= max_tries
        said = TIRunContext(dag_run=dag_run, max_tries=max_tries, should_retry=retry, start_date=NOW, **server)
        what = TaskInstance(
            id=uuid.uuid4(), task_id=task.task_id, dag_id=self.dag_id, run_id=self.run_id, try_number=try_number,
            dag_version_id=uuid.uuid4(),
        )  # fmt: skip
        return task_runner.RuntimeTaskInstance.model_construct(
            **what.model_dump(), task=task, _ti_context_from_server=said, max_tries=max_tries, start_date=NOW,
            state="running",
        )  # fmt: skip

    def trigger_event(self, deferred: Outcome) -> dict[str, Any]:
        """Run the deferred task's trigger to its event, as the triggerer does, and store the event."""
        payload: dict[str, Any] = json.loads(json.dumps(self.fired(deferred).payload))
        return payload

    def fired(self, deferred: Outcome) -> TriggerEvent:
        """Run the deferred task's trigger until it fires."""
        trigger = deferred.trigger
        trigger.task_instance = self.instance(deferred.task)

        async def first() -> Any:
            return await anext(trigger.run())

        with set_supervisor_comms(_Supervisor(self, deferred.task.task_id)):
            return asyncio.run(first())

    def resume(self, deferred: Outcome, event: dict[str, Any]) -> Outcome:
        """Run the process that goes on after the trigger's event."""
        said = {"next_method": deferred.message.next_method, "next_kwargs": serialize({"event": event})}
        return self.run_task(deferred.task, max_tries=deferred.task.retries, **said)

    def finish(self, outcome: Outcome) -> Outcome:
        """Run a task's trigger and resume it, when it is deferred and its trigger does not end it by itself."""
        if outcome.state != "deferred":
            return outcome
        event = self.fired(outcome)
        if isinstance(event, BaseTaskEndEvent):
            return Outcome(event.task_instance_state.value, event, None, self, outcome.task)
        return self.resume(outcome, json.loads(json.dumps(event.payload)))


@dataclass
class _Supervisor:
    """The other end of a task's process."""

    harness: Airflow
    task_id: str

    def send(self, msg: Any) -> Any:
        with self.harness.line:
            return self._answer(msg)

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    def _answer(self, msg: Any) -> Any:
        match msg:
            case SetXCom():
                self.harness.xcoms.setdefault(msg.task_id, {})[msg.key] = msg.value
            case GetTaskStateStore():
                stored = self.harness.store.get((self.harness.run_id, self.task_id, msg.key))
                return TaskStateStoreResult(value=stored) if stored else None
            case SetTaskStateStore():
                self.harness.store[self.harness.run_id, self.task_id, msg.key] = msg.value
                self.harness.expiries[msg.key] = msg.expires_at
            case SetRenderedFields():
                self.harness.rendered[self.task_id] = msg.rendered_fields
            case GetTaskStates():
                states = {task: self.harness.states.get(task, "running") for task in msg.task_ids or ()}
                return TaskStatesResult(task_states={self.harness.run_id: states})
            case ValidateInletsAndOutlets():
                return InactiveAssetsResult(inactive_assets=[])
            case GetXCom():
                return XComResult(key=msg.key, value=self._pulled(msg))
            case GetXComSequenceSlice():
                return XComSequenceSliceResult(root=[self._pulled(msg)])
        return None

    def _pulled(self, msg: Any) -> Any:
        return self.harness.xcoms.get(msg.task_id, {}).get(msg.key)
