"""The trigger, in an event loop as the triggerer has it, on a real emulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from functools import partialmethod
from importlib import import_module

import pytest
from msgspec import to_builtins

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.lifecycle import GONE, Goal, Observation, Phase, Target
from airflow_azml.client.transport.errors import AuthenticationError
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor
from airflow_azml.triggers import azureml, patience
from airflow_azml.triggers.azureml import AzureMLTrigger

ENDS = "print('done')"
SLEEPS = "import time\ntime.sleep(600)"


@pytest.fixture
def started(airflow, cpu, project):
    """Start a run and return it as a target."""

    def started(script, task_id="start"):
        fields = {"compute_name": cpu, "wait_for_completion": False, **project(script)}
        outcome = airflow.run(AzureMLStartRunOperator, task_id=task_id, **fields)
        return Target("runs", outcome.result["run_id"])

    return started


def trigger(target, **fields):
    return AzureMLTrigger(
        azureml_conn_id="azureml_default", target=to_builtins(target), **{"poll_interval": 0.2, **fields}
    )


async def event_of(one):
    return (await anext(one.run())).payload


def status(emulator, target):
    return emulator.regional("GET", "history/v1.0", f"/runs/{target.name}").json()["status"]


def test_another_triggerer_can_take_over(emulator):
    """The arguments are plain JSON, rebuild the same trigger with the same deadline, and hold no secret."""
    one = trigger(Target("computes", "cpu", goal=Goal.GONE), timeout=60, cancel_on_kill=True)
    classpath, arguments = one.serialize()
    stored = json.dumps(arguments)
    module, _, name = classpath.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(stored))
    assert again.serialize() == (classpath, arguments)
    assert again.started == one.started
    assert emulator.connection() not in stored
    assert "password" not in stored


def test_a_trigger_is_made_without_asking_for_its_connection():
    """Airflow makes triggers in its scheduler too, where no connection can be looked up."""
    assert AzureMLTrigger(azureml_conn_id="nowhere", target={"kind": "runs", "name": "r"}, poll_interval=1)


def test_many_triggers_wait_in_one_loop_and_each_has_its_event(started):
    """Waiting for the same or another target, none keeps another from its end."""
    both = [started(ENDS, "a"), started("raise SystemExit(3)", "b")]

    async def wait():
        return await asyncio.gather(*(event_of(trigger(target)) for target in both * 5))

    decisions = [event["decision"] for event in asyncio.run(wait())]
    assert [decision["verdict"] for decision in decisions] == ["done", "failed"] * 5
    assert {decision["observation"]["status"] for decision in decisions} == {"Completed", "Failed"}


@pytest.mark.usefixtures("airflow")
def test_looking_does_not_block_the_triggerers_loop(monkeypatch):
    """HTTP is synchronous: it happens in threads of the trigger's own."""
    threads = set()

    def look_many(_, wanted):
        threads.add(threading.current_thread().name.rpartition("_")[0])
        return dict.fromkeys(wanted, GONE)

    monkeypatch.setattr(AzureMLClient.runs, "look_many", look_many)
    asyncio.run(event_of(trigger(Target("runs", "r", goal=Goal.GONE))))
    assert threads == {"azureml"}


def test_the_deadline_counts_from_the_first_triggerer(started):
    """A restart does not give the wait another chance."""
    target = started(SLEEPS)
    late = trigger(target, timeout=100, started=time.time() - 101)
    assert asyncio.run(event_of(late))["decision"]["verdict"] == "timed_out"
    asyncio.run(trigger(target, cancel_on_kill=True).on_kill())


def test_a_trigger_that_is_stopped_leaves_the_run_alone(started, emulator, until):
    """A triggerer that is restarted cancels its triggers' coroutines: the work goes on."""
    target = started(SLEEPS)
    until(lambda: status(emulator, target) == "Running")

    async def stop():
        one = trigger(target, cancel_on_kill=True)
        waiting = asyncio.create_task(event_of(one))
        await asyncio.sleep(0.5)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await one.cleanup()

    asyncio.run(stop())
    assert status(emulator, target) == "Running"
    asyncio.run(trigger(target, cancel_on_kill=True).on_kill())
    assert status(emulator, target) == "Canceled"


def test_a_user_who_marks_the_deferred_task_cancels_the_run_unless_it_is_detached(started, emulator):
    """Airflow 3.3 calls on_kill when a person marks or clears a task whose trigger waits."""
    target = started(SLEEPS)
    asyncio.run(trigger(target).on_kill())
    assert status(emulator, target) != "Canceled"
    asyncio.run(trigger(target, cancel_on_kill=True).on_kill())
    assert status(emulator, target) == "Canceled"


def test_a_secret_that_is_replaced_while_the_trigger_waits_ends_no_wait(
    airflow, emulator, started, monkeypatch, caplog
):
    """The first client is refused; the connection is read again, and the wait goes on with its new secret."""
    caplog.set_level("INFO")
    target = started("import time\ntime.sleep(2)")
    deferred = airflow.run(AzureMLWaitForRunSensor, run_id=target.name, deferrable=True, poke_interval=0.2, retries=3)
    assert deferred.state == "deferred"
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(password="wrong"))
    real = azureml.client_of

    async def client_of(conn_id):
        client = await real(conn_id)
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
        return client

    monkeypatch.setattr(azureml, "client_of", client_of)
    event = airflow.trigger_event(deferred)
    assert event["decision"]["verdict"] == "done"
    assert "the connection has changed" in caplog.text
    assert airflow.resume(deferred, event).result["status"] == "Completed"


def test_a_connection_that_is_being_edited_ends_no_wait(emulator, started, monkeypatch):
    """A triggerer that starts in that moment reads it again until it is whole."""
    target = started(ENDS)
    monkeypatch.setattr(azureml, "REREAD", 0.1)
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(workspace_name=""))

    async def wait():
        waiting = asyncio.create_task(event_of(trigger(target)))
        await asyncio.sleep(0.5)
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
        return await waiting

    assert asyncio.run(wait())["decision"]["verdict"] == "done"


def test_a_refusal_that_stays_fails_the_task_but_not_for_good(airflow, emulator, started, monkeypatch):
    """When the budget is spent the task ends, and a retry finds the run again."""
    target = started(SLEEPS)
    deferred = airflow.run(AzureMLWaitForRunSensor, run_id=target.name, deferrable=True, poke_interval=0.2, retries=3)
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(password="wrong"))
        patch.setattr(azureml.Hub, "__init__", partialmethod(azureml.Hub.__init__, unreachable_timeout=1.0))
        event = airflow.trigger_event(deferred)
    outcome = airflow.resume(deferred, event)
    assert (outcome.state, type(outcome.error)) == ("up_for_retry", AuthenticationError)
    assert "AADSTS7000215" in str(outcome.error)
    asyncio.run(trigger(target, cancel_on_kill=True).on_kill())


def test_a_stopped_task_says_that_its_run_was_cancelled(started, caplog):
    """One line in the deferred task's log: what was cancelled, how it was seen, and after how long."""
    caplog.set_level("INFO")
    target = started(SLEEPS)
    asyncio.run(trigger(target, cancel_on_kill=True).on_kill())
    (line,) = (one.message for one in caplog.records if "cancelled" in one.message)
    assert re.fullmatch(rf"run {target.name}: its task was stopped; cancelled, seen Canceled after \d+ s", line)


def test_a_queued_run_gives_signs_of_life_at_growing_intervals(monkeypatch):
    """After one minute, three, seven, ...: with what it waits for; a run that runs says nothing."""
    now = [1000.0]
    monkeypatch.setattr(patience.time, "time", lambda: now[0])
    queueing = patience.Queueing(Target("runs", "r"), 1000.0)
    queued = Observation(Phase.PENDING, "Queued", "Waiting for nodes of cpu.")
    said = []
    for now[0] in range(1000, 2000, 10):
        line = queueing.line(queued)
        said += [line] if line else []
    assert said[0] == "run r: still Queued after 60 s: Waiting for nodes of cpu."
    assert [re.search(r"after (\d+)", line)[1] for line in said] == ["60", "180", "420", "900"]
    assert queueing.line(Observation(Phase.ACTIVE, "Running")) is None


def test_an_outage_of_the_service_is_waited_out(started, emulator, until):
    """The emulator is killed and started again while the trigger waits: the run's end is seen all the same."""
    target = started("import time\ntime.sleep(3)")
    until(lambda: status(emulator, target) == "Running")
    events = []
    waiting = threading.Thread(target=lambda: events.append(asyncio.run(event_of(trigger(target)))))
    waiting.start()
    emulator.kill()
    emulator.start()
    waiting.join(90)
    assert [event["decision"]["verdict"] for event in events] == ["done"]


def test_no_event_comes_before_the_deferring_worker_has_settled(started, until, emulator, monkeypatch):
    """An event within the worker's heartbeat would fail the task: Airflow still reports its first process's end."""
    target = started(ENDS)
    until(lambda: status(emulator, target) == "Completed")
    monkeypatch.setattr(azureml, "_worker_heartbeat", lambda: 2.0)
    slept = []
    real = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real(min(seconds, 0.05))

    monkeypatch.setattr("airflow_azml.triggers.azureml.asyncio.sleep", sleep)
    assert asyncio.run(event_of(trigger(target)))["decision"]["verdict"] == "done"
    assert 2 < slept[-1] <= 4


def test_a_timeout_is_cancelled_by_the_trigger_itself(started, emulator):
    """No worker may be free for long: the run must not burn on meanwhile."""
    target = started(SLEEPS)
    event = asyncio.run(event_of(trigger(target, timeout=2, cancel_on_kill=True)))
    assert (event["decision"]["verdict"], event["decision"]["observation"]["status"]) == ("timed_out", "Canceled")
    assert status(emulator, target) == "Canceled"


def test_a_detached_run_is_left_by_the_trigger_when_its_time_is_over(started, emulator):
    """As its task wants it."""
    target = started(SLEEPS)
    assert asyncio.run(event_of(trigger(target, timeout=2)))["decision"]["verdict"] == "timed_out"
    assert status(emulator, target) != "Canceled"
    asyncio.run(trigger(target, cancel_on_kill=True).on_kill())


def test_what_a_script_prints_cannot_break_the_database(started):
    """A NUL in an event is refused by PostgreSQL, and with it the whole triggerer."""
    target = started("print('a\\x00b', flush=True)\nraise SystemExit(1)")
    event = asyncio.run(event_of(trigger(target)))
    assert event["decision"]["verdict"] == "failed"
    assert "\0" not in json.dumps(event)
    assert "\\u0000" not in json.dumps(event)


def test_triggers_that_start_together_look_up_their_connection_together(monkeypatch):
    """One look-up serves all; that the first of them is cancelled meanwhile is not the others' cancellation."""
    asked = []

    async def aclient(conn_id):
        asked.append(conn_id)
        await asyncio.sleep(0.2)
        return "client"

    monkeypatch.setattr(azureml.AzureMLHook, "aclient", aclient)

    async def together():
        first, *others = [asyncio.create_task(azureml.client_of("azureml_default")) for _ in range(3)]
        await asyncio.sleep(0.1)
        first.cancel()
        results = await asyncio.gather(first, *others, return_exceptions=True)
        return [*results, await azureml.client_of("azureml_default")]

    first, *others = asyncio.run(together())
    assert isinstance(first, asyncio.CancelledError)
    assert (others, asked) == (["client"] * 3, ["azureml_default"] * 2)
