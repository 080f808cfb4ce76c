"""A part of Airflow or the service itself dies and comes back: the waiting tasks go on with the runs that they have."""

from __future__ import annotations

import os

import pytest
from situations import Situation, World, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(2400)]
MANY = int(os.environ.get("DEFERRED_TASKS", "12"))  # each costs some seconds of a processor; docs/exactly-once.md


def waiting(world: World, *dag_ids: str) -> list[Situation]:
    """Start dag runs and wait until each waits for its run."""
    them = [world.situation(dag_id) for dag_id in dag_ids]
    for it in them:
        it.until_waiting()
    return them


def all_complete(them: list[Situation]) -> None:
    """Let the scripts end; there must be one run for each."""
    for it in them:
        it.open()
    for it in them:
        it.ends("success", {"Completed": 1})


def test_service_killed_while_tasks_wait(world: World) -> None:
    """The emulator is SIGKILLed and comes back: nobody gives up, and its runs have gone on meanwhile."""
    them = waiting(world, "plain_sync", "plain_deferred")
    world.emulator.kill()
    world.emulator.start()
    all_complete(them)


def test_scheduler_killed_with_its_workers(world: World) -> None:
    """As when its machine is lost: the new scheduler starts the task again, which takes up its run."""
    them = waiting(world, "retries_sync", "plain_sync", "plain_deferred")
    world.stack.restart("scheduler", with_workers=True)
    for it in them[:2]:
        it.until_try(2)
    all_complete(them)


def test_scheduler_killed_alone(world: World) -> None:
    """Its workers live on until they are told that the new scheduler has started their tasks again.

    Whether the run is taken up or canceled and followed by another depends on who comes first; there are never two.
    """
    *running, deferred = waiting(world, "retries_sync", "plain_sync", "plain_deferred")
    world.stack.restart("scheduler")
    for it in running:
        it.until_try(2)
        it.open()
        it.ends("success", {"Completed": 1}, {"Canceled": 1, "Completed": 1})
    all_complete([deferred])


def test_scheduler_shut_down_with_its_workers(world: World) -> None:
    """SIGTERM to all of its processes: the runs of its tasks are canceled or left, as they say."""
    them = waiting(world, "retries_sync", "detach_retries_sync", "plain_deferred")
    cancelled, *others = them
    world.stack.shut_down("scheduler")
    world.stack.start("scheduler")
    cancelled.until_running(2)
    all_complete(others)
    cancelled.open()
    cancelled.ends("success", {"Canceled": 1, "Completed": 1})


def test_triggerer_killed_while_many_tasks_are_deferred(world: World) -> None:
    """The next triggerer takes all of them up; each has one run."""
    it = world.situation("mapped_deferred")
    until(lambda: it.instances() == {"deferred": MANY}, lambda: f"{it.instances()}", 10 * MANY, every=3)
    world.stack.kill("triggerer")
    it.open()
    world.stack.start("triggerer")
    until(lambda: it.instances() == {"success": MANY}, lambda: f"{it.instances()}", 10 * MANY, every=3)
    it.ends("success", {"Completed": MANY})
