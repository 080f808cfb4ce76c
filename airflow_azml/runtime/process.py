"""Where a process of a task enters the run time: the base classes of operators and sensors import nothing else of it.

Each function makes the `Task` that declarations get. Airflow may kill the task during these imports: the base classes
remember it and pass it on here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.runtime import report, wait
from airflow_azml.runtime.sense import Sensing
from airflow_azml.runtime.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context, PokeReturnValue

Result = dict[str, Any]
EXPECTED = report.EXPECTED


def act(operator: Any, context: Context) -> Result:
    """Run an operator that waits for nothing."""
    return report.guarded(operator, lambda: report.act(_begun(operator, context)))


def execute(operator: Any, context: Context) -> Result:
    """Run an operator that starts something."""
    return report.guarded(operator, lambda: wait.execute(_begun(operator, context)))


def complete(operator: Any, context: Context, event: dict[str, Any]) -> Result:
    """Go on with such an operator after the triggerer has waited."""
    return report.guarded(operator, lambda: wait.complete(_begun(operator, context), event))


def sense(sensor: Any, context: Context, poking: Callable[[], Any]) -> Any:
    """Run a sensor."""
    return report.guarded(sensor, lambda: sensing(sensor, context).execute(poking))


def poke(sensor: Any, context: Context) -> PokeReturnValue:
    """Look once, as Airflow's own loop asks for."""
    return report.guarded(sensor, lambda: sensing(sensor, context).poke())


def complete_sensor(sensor: Any, context: Context, event: dict[str, Any]) -> Any:
    """Go on with a sensor after the triggerer has waited."""
    return report.guarded(sensor, lambda: sensing(sensor, context).complete(event))


def sensing(sensor: Any, context: Context) -> Sensing:
    """Return what this process of the sensor has seen so far."""
    task = sensor.work or _begun(sensor, context)
    if task.sensing is None:
        task.sensing = Sensing(task)
    found: Sensing = task.sensing
    return found


def _begun(operator: Any, context: Context) -> Task:
    operator.work = task = Task(operator, context)
    task.kill.happened = operator.killed
    return task
