"""A task is stopped in whatever way: its run is seen canceled with its processes gone, unless it says detach.

All of these situations take place at the same time, on one Airflow.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from situations import Situation, World, until

TOGETHER = True
pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
both_waits = pytest.mark.parametrize("wait", ["sync", "deferred"])

STOPS: dict[str, tuple[Callable[[Situation], None], str]] = {
    "task_marked_failed": (lambda it: it.mark("failed"), "failed"),
    "task_marked_success": (lambda it: it.mark("success"), "success"),
    "dag_run_marked_failed": (lambda it: it.mark_dag_run("failed"), "failed"),
}
LIMITS = ["timeout", "execution_timeout", "dagrun_timeout"]


@both_waits
@pytest.mark.parametrize("stop", STOPS)
def test_stopped_by_a_person(world: World, stop: str, wait: str) -> None:
    """The run is canceled within half a minute, also when no worker is there that could do it."""
    it = world.situation(f"plain_{wait}")
    run = it.until_waiting()
    act, end = STOPS[stop]
    act(it)
    it.is_cancelled(run)
    it.ends(end, {"Canceled": 1})


@both_waits
@pytest.mark.parametrize("limit", LIMITS)
def test_stopped_by_a_limit(world: World, limit: str, wait: str) -> None:
    """Our own limit, Airflow's limit of a task and Airflow's limit of a dag run end the run as well."""
    it = world.situation(f"{limit}_{wait}")
    run = it.until_running()
    until(lambda: it.runs()[run] != "Running", it.log)
    it.is_cancelled(run)
    it.ends("failed", {"Canceled": 1})


@both_waits
@pytest.mark.parametrize("stop", STOPS)
def test_detached_runs_go_on(world: World, stop: str, wait: str) -> None:
    """With cancel_on_kill=False the task is gone, and the run comes to its own end."""
    it = world.situation(f"detach_{wait}")
    it.until_waiting()
    act, end = STOPS[stop]
    act(it)
    killed = {"sync": "Task killed!", "deferred": "invoking on_kill"}[wait]
    until(lambda: killed in it.log(), it.log)
    it.open()
    it.ends(end, {"Completed": 1})


def test_worker_shut_down(world: World) -> None:
    """SIGTERM to the task's supervisor, as a pod or a Celery worker gets it: the run is canceled."""
    it = world.situation("plain_sync")
    run = it.until_waiting()
    it.shut_worker_down()
    it.is_cancelled(run)
    it.ends("failed", {"Canceled": 1})


def test_worker_shut_down_and_retried(world: World) -> None:
    """With retries, the task goes on elsewhere with a run of its own."""
    it = world.situation("retries_sync")
    run = it.until_waiting()
    it.shut_worker_down()
    it.is_cancelled(run)
    it.until_running(2)
    it.open()
    it.ends("success", {"Canceled": 1, "Completed": 1})


def test_worker_shut_down_with_detach(world: World) -> None:
    """With cancel_on_kill=False the next try takes up the very run."""
    it = world.situation("detach_retries_sync")
    it.until_waiting()
    it.shut_worker_down()
    it.until_task("up_for_retry")
    it.until_task("running")
    it.open()
    it.ends("success", {"Completed": 1})
