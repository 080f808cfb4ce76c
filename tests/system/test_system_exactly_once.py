"""A worker dies, an answer is lost, a person clears the task: the runs in the emulator are counted.

All of these situations take place at the same time, on one Airflow; each looks only at its own experiment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow_stack import OtherAirflow
from situations import LONG, Situation, World, until

TOGETHER = True
DAGS = Path(__file__).parent / "dags"
pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
both_waits = pytest.mark.parametrize("wait", ["sync", "deferred"])


def test_worker_killed_before_the_post(world: World) -> None:
    """Nothing was sent yet: the next try starts the one run."""
    it = world.situation("retries_sync")
    it.until_met(it.fault(f"/experiments/{it.experiment}$", delay=LONG))
    it.kill_worker()
    it.open()
    it.ends("success", {"Completed": 1})


@both_waits
def test_worker_killed_during_the_post(world: World, wait: str) -> None:
    """The request has done its work, the answer never came: the next try adopts the run."""
    it = world.situation(f"retries_{wait}")
    it.until_met(it.fault(f"/{it.experiment}/startrun", delay=LONG, afterWork=True))
    it.until_running()
    it.kill_worker()
    it.open()
    it.ends("success", {"Completed": 1})


def test_worker_killed_right_after_the_post(world: World) -> None:
    """The answer came, and nothing else was done yet: the next try adopts the run."""
    it = world.situation("retries_sync")
    it.until_met(it.fault(f"/{it.experiment}/startrun", delay=4, afterWork=True))
    it.until_met(it.fault(it.until_running(), delay=LONG))
    it.kill_worker()
    it.open()
    it.ends("success", {"Completed": 1})


def test_worker_killed_while_waiting(world: World) -> None:
    """The next try waits for the run that the killed one has waited for."""
    it = world.situation("retries_sync")
    it.until_waiting()
    it.kill_worker()
    it.until_try(2)
    it.open()
    it.ends("success", {"Completed": 1})


def test_worker_cut_off_while_waiting_comes_back(world: World) -> None:
    """Airflow has given it up and the next try has taken up its run: it is told so, and leaves the run alone."""
    it = world.situation("retries_sync")
    it.until_waiting()
    frozen = it.frozen_worker()
    it.until_adopted()
    for process in frozen:
        process.resume()
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in frozen[1:]), it.log)
    it.open()
    it.ends("success", {"Completed": 1})


@both_waits
def test_worker_killed_while_collecting_results(world: World, wait: str) -> None:
    """The run has completed, its metrics are being read: the next try reads them again and starts nothing."""
    it = world.situation(f"retries_{wait}")
    fault = it.fault(f"/metric/.*/{it.until_waiting()}/", delay=LONG)
    it.open()
    it.until_met(fault)
    it.kill_worker()
    it.ends("success", {"Completed": 1})


def test_worker_killed_for_good_and_cleared(world: World) -> None:
    """Without retries the run goes on, for nobody can cancel it; the new run of the cleared task ends it."""
    it = world.situation("plain_sync")
    left = it.until_waiting()
    it.kill_worker()
    until(lambda: world.stack.api.run_state(it.dag_id, it.run_id) == "failed", it.log)
    assert it.runs() == {left: "Running"}
    it.clear()
    it.until_running(2)
    it.is_cancelled(left)
    it.open()
    it.ends("success", {"Canceled": 1, "Completed": 1})


LOST: dict[str, dict[str, Any]] = {
    "500": {"status": 500, "afterWork": True},
    "503": {"status": 503, "afterWork": True},
    "reset": {"connection": "reset", "afterWork": True},
    "timeout": {"delay": LONG, "afterWork": True},
}


@pytest.mark.parametrize("lost", LOST)
def test_post_is_answered_with_an_error_after_it_has_worked(world: World, lost: str) -> None:
    """The very try that sent it looks, and finds the run; nothing was retried by Airflow."""
    it = world.situation("plain_sync")
    fault = it.fault(f"/{it.experiment}/startrun", **LOST[lost])
    it.until_met(fault)
    it.open()
    it.ends("success", {"Completed": 1})


@both_waits
def test_cleared_while_waiting(world: World, wait: str) -> None:
    """A person wants it done again: the run is cancelled, and only then there is a second one."""
    it = world.situation(f"plain_{wait}")
    first = it.until_waiting()
    it.clear()
    it.until_running(2)
    assert it.runs()[first] == "Canceled"
    it.open()
    it.ends("success", {"Canceled": 1, "Completed": 1})


@both_waits
def test_cleared_after_success(world: World, wait: str) -> None:
    """The result is not taken over: there is a second run."""
    it = world.situation(f"plain_{wait}")
    it.open()
    it.ends("success", {"Completed": 1})
    it.clear()
    it.ends("success", {"Completed": 2})


def test_cleared_after_failure(world: World) -> None:
    """The failed run stays as it is, a second one completes."""
    it = world.situation("plain_sync")
    it.open(code=1)
    it.ends("failed", {"Failed": 1})
    it.open()
    it.clear()
    it.ends("success", {"Failed": 1, "Completed": 1})


@both_waits
def test_retries_of_a_script_that_fails(world: World, wait: str) -> None:
    """Each of the three tries has a run of its own."""
    it = world.situation(f"retries_{wait}")
    it.open(code=1)
    it.ends("failed", {"Failed": 3})


def test_two_dag_runs_at_the_same_time(world: World) -> None:
    """They do not share a run."""
    it = world.situation("plain_sync")
    other = world.situation("plain_sync", experiment=it.experiment, gate=it.gate)
    until(lambda: list(it.runs().values()) == ["Running"] * 2, it.log)
    it.open()
    it.ends("success", {"Completed": 2})
    other.ends("success", {"Completed": 2})


def test_mapped_tasks(world: World) -> None:
    """Each has a run of its own."""
    it = world.situation("mapped_sync")
    until(lambda: list(it.runs().values()) == ["Running"] * 3, it.log)
    it.open()
    it.ends("success", {"Completed": 3})


def test_dag_run_deleted_and_created_again(world: World) -> None:
    """The same ids in the same Airflow, but a person wants it done anew: the old result is not taken over."""
    it = world.situation("plain_sync")
    it.open()
    it.ends("success", {"Completed": 1})
    it.until_reported()
    world.stack.api.delete_run(it.dag_id, it.run_id)
    world.stack.api.trigger(it.dag_id, run_id=it.run_id, conf={"experiment": it.experiment, "gate": it.gate})
    it.ends("success", {"Completed": 2})


def test_another_airflow_with_the_same_ids(world: World) -> None:
    """It has a database of its own and the same workspace, dag, run and task ids: each Airflow has a run."""
    dag_id, conf = "plain_sync", world.conf("plain_sync")
    Path(conf["gate"]).write_text("0")
    connection = {"AIRFLOW_CONN_AZUREML_DEFAULT": world.emulator.connection()}
    other = OtherAirflow(world.gates / conf["experiment"] / "airflow", DAGS, connection)
    run_id = other.test(dag_id, conf)
    it = Situation(world, dag_id, world.stack.api.trigger(dag_id, run_id=run_id, conf=conf), **conf)
    it.ends("success", {"Completed": 2})
    tags = [run["tags"] for run in world.control("GET", "/runs")["value"] if run["experimentName"] == it.experiment]
    assert {(one["airflow_dag_id"], one["airflow_run_id"], one["airflow_task_id"]) for one in tags} == {
        (dag_id, run_id, "run")
    }
    assert len({one["airflow_nonce"] for one in tags}) == 2
