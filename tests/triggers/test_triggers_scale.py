"""Thousands of watched runs, on a real emulator that enforces request limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest
from emulator_process import EmulatorProcess, wait_until

from airflow_azml.client.lifecycle import Target
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.triggers.azureml import AzureMLTrigger
from airflow_azml.triggers.hub import LEAST_GAP, Hub

RUNS, ENDING = 10_000, 500
INTERVAL = 5.0  # the operators' default
TIGHT = {"bucket": 60, "perSecond": 5}  # a four-hundredth of what one request per run and look would need
HISTORY = "/experiments/scale/batch"


@pytest.fixture
def run_ids(emulator: EmulatorProcess) -> list[str]:
    """Interactive runs that are going on."""
    names = [f"scale-{number}" for number in range(RUNS)]
    for start in range(0, RUNS, 500):
        body = {"runs": [{"runId": name, "status": "Running"} for name in names[start : start + 500]]}
        assert not emulator.regional("PATCH", "history/v1.0", f"{HISTORY}/runs", json=body).json()["errors"]
    return names


@pytest.fixture
def throttled(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorProcess]:
    """The emulator with Azure's limits, and a tight one for the run history; a connection leads to it."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
    emulator.control("POST", "throttle", json={"regional": TIGHT}).raise_for_status()
    yield emulator
    emulator.control("DELETE", "faults")


def complete(emulator: EmulatorProcess, run_ids: list[str]) -> None:
    events = [{"name": "Microsoft.MachineLearning.Run.Completed", "data": {"runId": name}} for name in run_ids]
    body = {"events": events}
    assert not emulator.regional("POST", "history/v1.0", f"{HISTORY}/events", json=body).json()["errors"]


async def verdict(run_id: str, interval: float = INTERVAL) -> str:
    target = {"kind": "runs", "name": run_id}
    trigger = AzureMLTrigger(azureml_conn_id="azureml_default", target=target, poll_interval=interval)
    return (await anext(trigger.run())).payload["decision"]["verdict"]


def test_our_own_rate_is_never_refused(throttled, run_ids):
    """Ten thousand triggers look at their runs again and again, all see what ends, and no request was one too many."""
    limits = throttled.control("GET", "throttle").json()["limits"]
    assert (limits["reads"], limits["regional"]) == ({"bucket": 250, "perSecond": 25}, TIGHT)
    ending = run_ids[:: RUNS // ENDING]

    async def wait() -> list[str]:
        triggers = {name: asyncio.create_task(verdict(name)) for name in run_ids}
        await asyncio.sleep(2 * INTERVAL)
        assert not any(trigger.done() for trigger in triggers.values())
        await asyncio.to_thread(complete, throttled, ending)
        ended = await asyncio.gather(*(triggers.pop(name) for name in ending))
        assert not any(trigger.done() for trigger in triggers.values())
        for trigger in triggers.values():
            trigger.cancel()
        await asyncio.gather(*triggers.values(), return_exceptions=True)
        return ended

    assert asyncio.run(wait()) == ENDING * ["done"]
    assert throttled.control("GET", "throttle").json()["refused"] == 0


def test_retry_after_is_waited_once_for_all(emulator, monkeypatch, run_ids):
    """A 429 meets one request; until its Retry-After is over nobody asks, whoever waits; then all are told."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
    client = AzureMLHook().client
    client.runs.get(run_ids[0])
    fault = {"path": "batchrundata", "status": 429, "retryAfter": 3, "times": 1}
    emulator.control("POST", "faults", json=fault).raise_for_status()
    ending = run_ids[-500:]
    complete(emulator, ending)

    async def wait() -> tuple[int, list[str]]:
        triggers = [asyncio.create_task(verdict(name, 0.2)) for name in ending]
        met = await asyncio.to_thread(wait_until, lambda: faults_met(emulator))
        refused, before = time.monotonic(), client.transport.requests["get many runs"]
        while time.monotonic() < refused + 2:
            assert client.transport.requests["get many runs"] == before
            await asyncio.sleep(0.1)
        return met, await asyncio.gather(*triggers)

    met, verdicts = asyncio.run(wait())
    assert met == 1
    assert set(verdicts) == {"done"}


def faults_met(emulator: EmulatorProcess) -> int:
    listed = emulator.control("GET", "faults").json()["value"]
    return sum(fault["met"] for fault in listed)


def test_many_computes_do_not_use_up_resource_managers_reads(throttled):
    """What cannot be asked for together is asked for in turn, slowly enough for the published limit."""

    async def wait() -> None:
        client = await AzureMLHook.aclient("azureml_default")
        targets = [Target("computes", f"none-{number}") for number in range(300)]
        hub = Hub.of(client, targets[0])
        with contextlib.ExitStack() as waiting:
            for target in targets:
                waiting.enter_context(hub.watching(target, 0.1))
            before, began = client.transport.requests["get compute"], time.monotonic()
            await asyncio.sleep(3)
            asked = client.transport.requests["get compute"] - before
            assert 0 < asked <= (time.monotonic() - began) / LEAST_GAP + 1

    asyncio.run(wait())
    assert throttled.control("GET", "throttle").json()["refused"] == 0
