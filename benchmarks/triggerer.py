"""A real triggerer with as many deferred tasks of ours as it takes, beside one whose triggers only sleep.

A whole Airflow (PostgreSQL, scheduler, api-server, triggerer, dag-processor) and the emulator are running; each way has
a fresh triggerer. The tasks are put into the state in which a worker's process would have left them, which alone would
take many minutes for a thousand. Then some of the runs complete, and the tasks note when they go on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import running_emulator
from submit import MIB
from waiting import ENVIRONMENT, INTERVAL, complete, create_runs

if TYPE_CHECKING:
    from airflow_stack import AirflowStack

HERE = Path(__file__).parent
RUNS = 1_000  # is also what a triggerer takes by default
WAYS = ("asleep", "ours")
PAUSED = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}  # or the scheduler would start the tasks itself
SETTLE, MEASURED = 30.0, 60.0  # seconds
COMPLETED, EVERY = 30, 2.0  # so many runs complete, so many seconds apart: the executor starts their tasks at once


# In a process of Airflow's own: put the tasks into the triggerer.


def defer(way: str) -> None:
    """Defer all tasks of the DAG's run, as the execution API does when a worker says so."""
    from airflow.models.dagrun import DagRun  # noqa: PLC0415 - Airflow's own process only
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415 - likewise
    from airflow.models.trigger import Trigger  # noqa: PLC0415 - likewise
    from airflow.utils.session import create_session  # noqa: PLC0415 - likewise
    from sqlalchemy import func, select, update  # noqa: PLC0415 - likewise

    with create_session() as session:
        tasks = list(session.scalars(select(TaskInstance).where(TaskInstance.dag_id == way)))
        triggers = [Trigger(*_trigger(way, task.map_index)) for task in tasks]
        session.add_all(triggers)
        session.flush()
        for task, trigger in zip(tasks, triggers, strict=True):
            task.trigger_id, task.state, task.try_number = trigger.id, "deferred", 1
            task.start_date, task.next_method, task.next_kwargs = func.now(), "execute_complete", {}
        session.execute(update(DagRun).where(DagRun.dag_id == way).values(state="running", start_date=func.now()))


def _trigger(way: str, number: int) -> tuple[str, dict[str, Any]]:
    if way == "asleep":
        return "airflow.providers.standard.triggers.temporal.TimeDeltaTrigger", {"delta": 86_400.0}
    target = {"kind": "runs", "name": f"waiting-{number}"}
    arguments = {"azureml_conn_id": "azureml_default", "target": target, "poll_interval": INTERVAL}
    return "airflow_azml.triggers.azureml.AzureMLTrigger", arguments


# The process that starts it all.


def measure(stack: AirflowStack, way: str) -> dict[str, float]:
    """Let a fresh triggerer wait; return what its processes use of CPU (seconds a minute) and memory."""
    import psutil  # noqa: PLC0415 - comes with the demo

    stack.restart("triggerer")
    stack.api.call("POST", f"/dags/{way}/dagRuns", json={"logical_date": None})
    command = [sys.executable, __file__, "--defer", way]
    subprocess.run(command, env=stack.environment, check=True, capture_output=True, timeout=300)
    time.sleep(SETTLE)
    top = psutil.Process(stack._parts["triggerer"].pid)  # noqa: SLF001 - no test wants to know it
    processes = [top, *top.children(recursive=True)]
    before = sum(sum(process.cpu_times()[:2]) for process in processes)
    time.sleep(MEASURED)
    spent = sum(sum(process.cpu_times()[:2]) for process in processes) - before
    memory = sum(process.memory_full_info().pss for process in processes)
    return {"cpu_s_per_minute": round(60 * spent / MEASURED, 2), "memory_mb": round(memory / MIB, 1)}


def resumptions(stack: AirflowStack, complete: Any, resumed: Path, number: int) -> dict[str, float]:
    """Let a number of runs complete one after the other; return how long it took until their tasks went on."""
    stack.api.call("PATCH", "/dags/ours", json={"is_paused": False})
    completed = {}
    for name in [f"waiting-{each}" for each in range(number)]:
        completed[name] = complete(name)
        time.sleep(EVERY)
    deadline = time.monotonic() + 120
    while len(list(resumed.iterdir())) < number and time.monotonic() < deadline:
        time.sleep(0.5)
    delays = [float((resumed / name).read_text().split()[0]) - then for name, then in completed.items()]
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    return {"resumed_p50_s": round(cuts[49], 2), "resumed_p99_s": round(cuts[98], 2)}


def compare(runs: int) -> dict[str, dict[str, float]]:
    """Wait in both ways, in one Airflow; return the figures of each."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from airflow_stack import AirflowStack  # noqa: PLC0415 - the tests have it

    from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - after Airflow's home is set

    with tempfile.TemporaryDirectory(prefix="benchmark-") as work, running_emulator(Path(work) / "data") as connection:
        os.environ.update(connection)
        client, resumed = AzureMLHook().client, Path(work) / "resumed"
        create_runs(client, [f"waiting-{number}" for number in range(runs)])
        resumed.mkdir()
        environment = {**connection, "BENCHMARK_RUNS": str(runs), "BENCHMARK_RESUMED": str(resumed), **PAUSED}
        with AirflowStack(Path(work) / "stack", HERE / "triggerer_dags", environment) as stack:
            deadline = time.monotonic() + 120
            while not all(stack.api.knows(way) for way in WAYS) and time.monotonic() < deadline:
                time.sleep(1)
            asleep = measure(stack, "asleep")
            [run] = stack.api.call("GET", "/dags/asleep/dagRuns")["dag_runs"]
            stack.api.mark_run("asleep", run["dag_run_id"], "failed")
            ours = measure(stack, "ours")
            ours |= resumptions(stack, lambda name: complete(client, [name])[name], resumed, min(COMPLETED, runs))
            return {"asleep": asleep, "ours": ours}


def show(runs: int, results: dict[str, dict[str, float]]) -> None:
    """Print a table."""
    print(f"A triggerer with {runs} deferred tasks: all of its processes")
    print("way     CPU s/minute  memory MB  end to resumption p50      p99")
    for way, result in results.items():
        times = [result.get(name, "") for name in ("resumed_p50_s", "resumed_p99_s")]
        print(f"{way:7} {result['cpu_s_per_minute']:12.2f} {result['memory_mb']:10.1f} {times[0]:>22} {times[1]:>8}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many tasks wait (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--defer", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.defer:
        defer(options.defer)
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        os.environ.update({**ENVIRONMENT, "AIRFLOW_HOME": home})
        results = compare(options.runs)
    if options.json:
        print(json.dumps({"runs": options.runs, **results}))
    else:
        show(options.runs, results)


if __name__ == "__main__":
    main()
