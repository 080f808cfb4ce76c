"""What a run prints is in its task's log, each line once, and what may repeat when a triggerer dies."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from situations import Situation, World, until

from airflow_azml.triggers.run_log import KEPT_EVERY

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
PER_SECOND = 2  # lines that the run prints


def shown(it: Situation) -> list[int]:
    """Return the numbers of the lines that the task's log shows."""
    return [int(number) for number in re.findall(r'"event": ?"step (\d+)"', it.log())]


def all_once(it: Situation) -> bool:
    """Tell whether all lines are shown, each once; a deferred task's are in several files."""
    return sorted(shown(it)) == list(range(len(shown(it))))


def test_each_line_is_shown_once_while_the_run_runs(world: World) -> None:
    """On a worker, deferred, and by a sensor that ends in the triggerer; not only at the run's end."""
    them = [world.situation(dag_id) for dag_id in ("talks_sync", "talks_deferred", "talks_sensor")]
    for it in them:
        until(lambda it=it: len(shown(it)) > 10, it.log)
        it.open()
    for it in them:
        it.ends("success", {"Completed": 1})
        assert all_once(it), it.log()
    result = world.stack.api.xcom(it.dag_id, it.run_id, "run")
    assert (result["run_id"], result["status"]) == (next(iter(it.runs())), "Completed")
    assert it.log().count("Worker startup") == 2, it.log()  # of the task that starts the run, and the sensor's first


def test_another_triggerer_goes_on_where_the_former_stopped(world: World) -> None:
    """A triggerer is SIGKILLed: no line is missing, and only lines of its last seconds are shown again."""
    it = world.situation("talks_deferred")
    until(lambda: len(shown(it)) > 3 * KEPT_EVERY * PER_SECOND, it.log)
    world.stack.restart("triggerer")
    before = len(shown(it))
    until(lambda: len(shown(it)) > before + 5, it.log)
    it.open()
    it.ends("success", {"Completed": 1})
    times = Counter(shown(it))
    assert sorted(times) == list(range(len(times)))
    again = [number for number, count in times.items() if count > 1]
    assert len(again) <= (KEPT_EVERY + 5) * PER_SECOND, it.log()
    assert set(times.values()) <= {1, 2}
