"""Nodes and demand: what the run engine sees of a cluster. The clock of the pure functions is an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_azml.emulator.computes import nodes, specs
from airflow_azml.emulator.computes.demand import Demand
from airflow_azml.emulator.computes.engine import Computes
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel.facts import PACES
from airflow_azml.emulator.kernel.operations import Operations
from airflow_azml.emulator.kernel.store import Store

LIMITS = nodes.Limits(minimum=1, maximum=3, idle_seconds=10, join_seconds=5)
QUICK = replace(PACES["fast"], tick=0.01, compute=0.01, node=0.01)


def states(pool):
    return sorted(node["state"] for node in pool)


def test_nodes_take_time_to_join_and_to_leave():
    """A node prepares for as long as joining takes, idles for its time, leaves, and is gone after that."""
    pool = []
    nodes.advance(pool, replace(LIMITS, minimum=0), demand=1, now=0)
    assert states(pool) == ["preparing"]
    nodes.advance(pool, replace(LIMITS, minimum=0), demand=1, now=4.9)
    assert states(pool) == ["preparing"]
    nodes.advance(pool, replace(LIMITS, minimum=0), demand=0, now=5)
    assert states(pool) == ["idle"]
    nodes.advance(pool, replace(LIMITS, minimum=0), demand=0, now=14.9)
    assert states(pool) == ["idle"]
    nodes.advance(pool, replace(LIMITS, minimum=0), demand=0, now=15)
    assert states(pool) == ["leaving"]
    nodes.advance(pool, replace(LIMITS, minimum=0), demand=0, now=20)
    assert pool == []


def test_demand_never_exceeds_the_maximum_nor_the_minimum_leaves():
    """A hundred waiting runs get three nodes; when all is done the minimum stays however long it idles."""
    pool = []
    nodes.advance(pool, LIMITS, demand=100, now=0)
    assert len(pool) == LIMITS.maximum
    for now in range(5, 500, 5):
        nodes.advance(pool, LIMITS, demand=0, now=now)
    assert states(pool) == ["idle"]


def test_lowering_the_maximum_spares_nodes_that_run():
    """Idle nodes above a lowered maximum leave at once; a running one stays until its run gives it back."""
    pool = []
    nodes.advance(pool, LIMITS, demand=3, now=0)
    nodes.advance(pool, LIMITS, demand=3, now=5)
    nodes.allot(pool, "run", 2, now=5)
    lowered = replace(LIMITS, minimum=0, maximum=1)
    nodes.advance(pool, lowered, demand=0, now=6)
    assert states(pool) == ["leaving", "running", "running"]
    nodes.free(pool, "run", now=12)
    nodes.advance(pool, lowered, demand=0, now=12)
    assert states(pool) == ["idle", "leaving"]


def test_a_leaving_node_counts_until_it_is_gone():
    """A cluster asks for no replacement that would take it above its maximum."""
    single = replace(LIMITS, minimum=0, maximum=1)
    pool = []
    for now, demand in ((0, 1), (5, 0), (15, 0), (16, 1)):
        nodes.advance(pool, single, demand, now)
    assert states(pool) == ["leaving"]
    nodes.advance(pool, single, demand=1, now=20)
    assert states(pool) == ["preparing"]


def test_first_come_first_served():
    """A wide run at the head of the queue is not overtaken by narrow ones behind it."""
    demand = Demand()
    demand.ask("c", "wide", 2)
    demand.ask("C", "narrow", 1)
    assert not demand.is_next("c", "wide", idle=1)
    assert not demand.is_next("c", "narrow", idle=1)
    assert demand.is_next("c", "wide", idle=2)
    assert demand.is_next("c", "narrow", idle=3)
    demand.withdraw("wide")
    assert demand.is_next("c", "narrow", idle=1)
    assert demand.total("c") == 1


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("PT2M", 120), ("PT1800S", 1800), ("pt1h30m", 5400), ("P1DT1S", 86401), ("P1W", 604800), ("PT0.5S", 0.5)],
)
def test_durations_are_read(duration, expected):
    """Every form of an ISO 8601 duration that clients send has its length in seconds."""
    assert specs.seconds(duration, "member") == expected


@pytest.fixture
def engine(tmp_path):
    """A quick engine without HTTP, with a cluster `cpu` of at most two nodes."""
    store = Store(tmp_path / "store.sqlite")
    computes = Computes(store, Operations(store), QUICK)
    computes.put("cpu", cluster_spec(2))
    computes.start()
    yield computes
    computes.stop()
    store.close()


def cluster_spec(most):
    scale = {"maxNodeCount": most, "nodeIdleTimeBeforeScaleDown": "PT1H"}
    inner = {"vmSize": "STANDARD_D1", "scaleSettings": scale}
    return specs.read("cpu", {"properties": {"computeType": "AmlCompute", "properties": inner}})


def test_runs_queue_when_all_nodes_are_busy(engine, until):
    """Two nodes serve two runs; the third gets one when the first run gives it back."""
    until(lambda: engine.assign("cpu", "a", 1))
    until(lambda: engine.assign("CPU", "b", 1))
    assert engine.assign("cpu", "a", 1)
    assert not any(engine.assign("cpu", "c", 1) for _ in range(50))
    assert len(engine.get("cpu")["nodes"]) == engine.capacity("cpu") == 2
    engine.release("a")
    until(lambda: engine.assign("cpu", "c", 1))
    assert sorted(node["run"] for node in engine.get("cpu")["nodes"]) == ["b", "c"]


def test_what_cannot_be_had_is_not_waited_for(engine):
    """A run that wants more nodes than the maximum, or an unknown compute, gets none and makes nothing grow."""
    assert not engine.assign("cpu", "huge", 3)
    assert not engine.assign("gpu", "lost", 1)
    assert (engine.exists("gpu"), engine.capacity("gpu")) == (False, 0)
    assert engine.get("cpu")["nodes"] == []


def test_a_run_that_is_cancelled_while_it_waits_leaves_the_queue(engine, until):
    """Releasing a waiting run lets those behind it pass."""
    until(lambda: engine.assign("cpu", "a", 1))
    assert not engine.assign("cpu", "wide", 2)
    until(lambda: len(engine.get("cpu")["nodes"]) == 2)
    assert not any(engine.assign("cpu", "b", 1) for _ in range(50))
    engine.release("wide")
    until(lambda: engine.assign("cpu", "b", 1))


def test_the_run_engine_is_told_before_a_compute_is_gone(engine, until):
    """Deleting tells the listeners while the compute still stands; no run is let in meanwhile."""
    heard = []
    engine.on_removed.append(lambda name: heard.append((name, engine.find(name) is not None, engine.exists(name))))
    until(lambda: engine.assign("cpu", "a", 1))
    engine.delete("CPU")
    assert not engine.assign("cpu", "b", 1)
    until(lambda: engine.find("cpu") is None)
    assert heard == [("cpu", True, False)]
    with pytest.raises(Fault):
        engine.get("cpu")


def test_allotments_outlive_the_process(engine, until, tmp_path):
    """A new engine over the same store knows which run has which node."""
    until(lambda: engine.assign("cpu", "a", 2))
    store = Store(tmp_path / "store.sqlite")
    again = Computes(store, Operations(store), QUICK)
    assert again.assign("cpu", "a", 2)
    assert again.get("cpu")["nodes"] == engine.get("cpu")["nodes"]
    store.close()
