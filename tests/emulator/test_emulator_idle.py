"""The engines of an emulator sleep until there is something to do, and then they do it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from in_process import running

from airflow_azml.emulator.computes import specs
from airflow_azml.emulator.computes.engine import Computes
from airflow_azml.emulator.kernel import ticker
from airflow_azml.emulator.kernel.facts import PACES
from airflow_azml.emulator.kernel.operations import Operations
from airflow_azml.emulator.kernel.store import Store
from airflow_azml.emulator.kernel.ticker import Ticker

HOUR = 3600
CLUSTERS, FEW = 50, 20


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store; nothing is looked at only because time has passed."""
    monkeypatch.setattr(ticker, "LONGEST", HOUR)
    store = Store(tmp_path / "store.sqlite")
    yield store
    store.close()


def cluster(idle="PT1H"):
    scale = {"maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": idle}
    inner = {"vmSize": "STANDARD_D1", "scaleSettings": scale}
    return specs.read("cpu", {"properties": {"computeType": "AmlCompute", "properties": inner}})


def test_an_emulator_that_nobody_asks_does_not_touch_its_store(tmp_path, until):
    """With 50 computes, less than one statement per compute and second reaches the database of an idle emulator."""
    with running(tmp_path) as service:
        computes, store = service.emulator.computes, service.emulator.store
        for number in range(CLUSTERS):
            computes.put(f"cpu{number}", cluster())
        until(lambda: all(compute["provisioningState"] == "Succeeded" for compute in computes.list()))
        time.sleep(0.2)  # the last commits are looked at
        statements = []
        store._database.set_trace_callback(statements.append)
        time.sleep(1)
        store._database.set_trace_callback(None)
    assert len(statements) < FEW


def test_an_engine_beats_when_the_store_changes_when_it_is_woken_and_when_something_is_due(store, until):
    """Each of the three causes a beat, and without any of them there is none."""
    beats, due = [], [time.time() + HOUR]

    def steps():
        beats.append(engine.is_due(due[0]))
        return []

    def next_beat(after):
        until(lambda: len(beats) > after)
        time.sleep(0.1)
        return beats[after:]

    engine = Ticker(store, 0.01, steps, "engine")
    engine.start()
    assert next_beat(0) == [False]
    store.put("thing", "t", {})
    assert next_beat(1) == [False]
    due[0] = time.time() + 0.5
    engine.wake()
    assert next_beat(2) == [False]
    assert next_beat(3) == [True]
    engine.stop()


def test_a_step_that_failed_is_tried_again_without_a_cause(store, until, caplog):
    """A failure asks for the next beat itself."""
    tries = []

    def step():
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")

    engine = Ticker(store, 0.01, lambda: [("item", step)], "engine")
    engine.start()
    until(lambda: len(tries) == 3)
    engine.stop()
    assert len(caplog.records) == 1


def test_a_new_pace_holds_for_nodes_that_are_joining(store, until):
    """A node that would take an hour to join is there when nodes take no time any more."""
    pace = replace(PACES["fast"], tick=0.01, compute=0, node=HOUR)
    computes = Computes(store, Operations(store), pace)
    computes.put("cpu", cluster())
    computes.start()
    computes.assign("cpu", "run", 1)
    until(lambda: [node["state"] for node in computes.get("cpu")["nodes"]] == ["preparing"])
    pace.change(node=0)
    until(lambda: computes.assign("cpu", "run", 1))
    computes.stop()


def test_a_node_that_was_kept_for_a_run_leaves_when_the_run_is_gone(store, until):
    """The demand keeps an idle node longer than its time; without the demand it goes at once."""
    computes = Computes(store, Operations(store), replace(PACES["fast"], tick=0.01, compute=0, node=0))
    computes.put("cpu", cluster(idle="PT0S"))
    computes._demand.ask("cpu", "run", 1)
    computes.start()
    until(lambda: [node["state"] for node in computes.get("cpu")["nodes"]] == ["idle"])
    time.sleep(0.1)
    assert computes.get("cpu")["nodes"]
    computes.release("run")
    until(lambda: not computes.get("cpu")["nodes"])
    computes.stop()
