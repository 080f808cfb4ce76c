"""Waiting for many runs at once: one request per run and poll, as is usual, beside one poller for all of them.

Each way waits in a process of its own for runs of its own, on one emulator in a third process; all triggers want a look
every five seconds. One poll is one look at every run, however long it takes. Then some of the runs complete, spread
over one poll interval; what is measured of them is the time until their triggers fire.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import running_emulator
from submit import MIB, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.azureml import AzureMLClient

SIZES = (100, 1_000, 10_000)
WAYS = ("naive", "ours")
INTERVAL = 5.0  # seconds, the operators' default
INTERVALS = 6  # are measured
COMPLETED = 200
EXPERIMENT = "waiting"
DONE = frozenset({"Completed", "Failed", "Canceled"})
ENVIRONMENT = {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}


# The process that waits.


def naive(client: AzureMLClient) -> tuple[Callable[[str], Any], Callable[[], int]]:
    """Return triggers that ask for their own run, and how often they have asked."""
    import requests  # noqa: PLC0415 - the parent process measures nothing
    from airflow.triggers.base import BaseTrigger, TriggerEvent  # noqa: PLC0415 - likewise

    session = requests.Session()
    get = partial(session.get, verify=os.environ["BENCHMARK_CA"], timeout=60)
    session.headers["Authorization"] = f"Bearer {client.transport.token(client.cloud.arm_scope)}"
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=32))
    asked = 0

    class OneByOne(BaseTrigger):
        def __init__(self, run_id: str) -> None:
            super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no annotation there
            self.url = client.runs.regional("history/v1.0", "runs", run_id)

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "", {}

        async def run(self) -> Any:
            nonlocal asked
            while True:
                answer = await asyncio.to_thread(get, self.url)
                asked += 1
                if answer.json()["status"] in DONE:
                    yield TriggerEvent({"url": self.url})
                await asyncio.sleep(INTERVAL)

    return OneByOne, lambda: asked


def ours(client: AzureMLClient) -> tuple[Callable[[str], Any], Callable[[], int]]:
    """Return the provider's triggers, and how often their poller has asked."""
    from airflow_azml.triggers.azureml import AzureMLTrigger  # noqa: PLC0415 - likewise

    def trigger(run_id: str) -> AzureMLTrigger:
        target = {"kind": "runs", "name": run_id}
        return AzureMLTrigger(azureml_conn_id="azureml_default", target=target, poll_interval=INTERVAL)

    return trigger, client.transport.requests.total


async def wait(way: str, run_ids: list[str]) -> None:
    """Wait for the runs; print what it costs, then every run that has ended and when."""
    from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - the parent process measures nothing

    client = await AzureMLHook.aclient("azureml_default")
    client.runs.get(run_ids[0])  # signed in, and the way is known
    trigger, requests = {"naive": naive, "ours": ours}[way](client)
    trigger(run_ids[0])  # what the first one loads is not what waiting costs
    before = idle()

    async def report(run_id: str) -> None:
        await anext(trigger(run_id).run())
        print(run_id, time.time(), flush=True)

    tasks = [asyncio.create_task(report(run_id)) for run_id in run_ids]
    costs = await measure(way, len(run_ids), requests)
    print(json.dumps({**costs, "rss_mb": round((status("VmHWM") - before) / MIB, 1)}), flush=True)
    await asyncio.gather(*tasks)


async def measure(way: str, runs: int, requests: Callable[[], int]) -> dict[str, float]:
    """Return requests and CPU seconds of one poll, from what happens within some intervals."""
    await asyncio.sleep(2 * INTERVAL)  # ours begins at a random moment of the first interval
    before, cpu = requests(), cpu_seconds()
    await asyncio.sleep(INTERVALS * INTERVAL)
    sent, spent = requests() - before, cpu_seconds() - cpu
    polls = INTERVALS if way == "ours" else sent / runs  # the naive way may not keep up
    return {"requests_per_poll": round(sent / polls, 1), "cpu_s": round(spent / polls, 3)}


def idle() -> int:
    """Return the bytes that this process holds, which its peak is reset to."""
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
    return status("VmRSS")


def cpu_seconds() -> float:
    """Return what this process has used."""
    times = os.times()
    return times.user + times.system


# The process that starts it, and lets runs complete.


def create_runs(client: AzureMLClient, run_ids: list[str]) -> None:
    """Create interactive runs, whose owner says how they are."""
    url = client.runs.regional("history/v1.0", "experiments", EXPERIMENT, "batch", "runs")
    for start in range(0, len(run_ids), 500):
        body = {"runs": [{"runId": run_id, "status": "Running"} for run_id in run_ids[start : start + 500]]}
        answer = client.transport.json("PATCH", url, operation="create runs", json=body)
        assert not answer["errors"], answer["errors"]


def complete(client: AzureMLClient, run_ids: list[str]) -> dict[str, float]:
    """Let runs complete, evenly over one interval; return when each did."""
    url = client.runs.regional("history/v1.0", "experiments", EXPERIMENT, "batch", "events")
    completed, began = {}, time.monotonic()
    for number, run_id in enumerate(run_ids):
        time.sleep(max(0.0, began + INTERVAL * number / len(run_ids) - time.monotonic()))
        completed[run_id] = time.time()
        event = {"name": "Microsoft.MachineLearning.Run.Completed", "data": {"runId": run_id}}
        client.transport.json("POST", url, operation="complete a run", json={"events": [event]})
    return completed


def wait_in_process(client: AzureMLClient, way: str, runs: int) -> dict[str, float]:
    """Wait in one way, from a process of its own."""
    run_ids = [f"{way}-{number}" for number in range(runs)]
    create_runs(client, run_ids)
    command = [sys.executable, __file__, "--way", way, "--runs", str(runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            costs: dict[str, float] = json.loads(next(line for line in process.stdout if line.startswith("{")))
            chosen = random.sample(run_ids, min(COMPLETED, runs))
            completed = complete(client, chosen)
            fired = dict(process.stdout.readline().split() for _ in chosen)
        finally:
            process.kill()
    delays = statistics.quantiles([float(fired[name]) - completed[name] for name in chosen], n=100, method="inclusive")
    return {**costs, "p50_s": round(delays[49], 2), "p99_s": round(delays[98], 2)}


def compare(runs: int) -> dict[str, dict[str, float]]:
    """Wait in both ways for so many runs each, on an emulator of their own."""
    from airflow_azml.client.routing import Routing  # noqa: PLC0415 - after Airflow's home is set
    from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory(prefix="benchmark-") as work, running_emulator(Path(work) / "data") as connection:
        os.environ.update({**connection, "BENCHMARK_CA": str(Path(work) / "data" / "ca.pem")})
        Routing.forget()
        client = AzureMLHook().client
        return {way: wait_in_process(client, way, runs) for way in WAYS}


def show(runs: int, results: dict[str, dict[str, float]]) -> None:
    """Print the rows of one size."""
    for way, result in results.items():
        print(
            f"{runs:6} {way:6} {result['requests_per_poll']:14.1f} {result['cpu_s']:11.3f} {result['rss_mb']:10.1f}"
            f" {result['p50_s']:8.2f} {result['p99_s']:8.2f}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, help="how many runs; 100, 1,000 and 10,000 by default (--json: 10,000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        asyncio.run(wait(options.way, [f"{options.way}-{number}" for number in range(options.runs)]))
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        os.environ.update({**ENVIRONMENT, "AIRFLOW_HOME": home})
        if options.json:
            runs = options.runs or SIZES[-1]
            print(json.dumps({"runs": runs, **compare(runs)}))
            return
        print(f"A look every {INTERVAL:.0f} s: cost of one look at every run, and seconds from completion to event")
        print("  runs way    requests/poll  CPU s/poll memory MB      p50      p99")
        for runs in [options.runs] if options.runs else SIZES:
            show(runs, compare(runs))


if __name__ == "__main__":
    main()
