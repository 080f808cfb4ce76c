"""The poller that all waiting triggers of a connection share, with a service that counts what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.lifecycle import Target
from airflow_azml.client.resources.run import Runs
from airflow_azml.client.resources.run_history import Run, RunState
from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.client.transport.errors import AzureMLError, NotFoundError, PermissionDeniedError, ServiceError
from airflow_azml.triggers.hub import LEAST_GAP, Hub, Waiter

WORKSPACE = Workspace("s", "g", "hub")
pytestmark = pytest.mark.anyio
INTERVAL = 0.02


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Service(Runs):
    """The run history, as far as the hub asks it; it is also the client that has it."""

    batch_size = 100

    def __init__(self) -> None:
        self.http = SimpleNamespace(pause=lambda _seconds: None)  # type: ignore[assignment]
        self.routing = SimpleNamespace(require=lambda: None)  # type: ignore[assignment]
        self.statuses: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.error: AzureMLError | None = None

    def of(self, _target: Target) -> Runs:
        return self

    def get_many(self, wanted: Iterable[str], _experiment: str | None = None) -> dict[str, Any]:
        ids = list(wanted)
        self.asked.append(ids)
        if self.error:
            raise self.error
        return {name: RunState(name, self.statuses[name]) for name in ids if name in self.statuses}

    def get(self, name: str, _experiment: str | None) -> Any:
        self.asked.append([name])
        if self.error:
            raise self.error
        if name not in self.statuses:
            raise NotFoundError(name)
        return Run.of({"runId": name, "status": self.statuses[name]})


@pytest.fixture
def service() -> Service:
    return Service()


def run(name: str) -> Target:
    return Target("runs", name)


async def news(waiter: Waiter, seconds: float) -> Any:
    """Return what a trigger is told next, None when there is nothing in time."""
    await waiter.woken(seconds)
    return waiter.take()


async def status_of(hub: Hub, name: str) -> str:
    with hub.watching(run(name), INTERVAL) as waiter:
        observation = await news(waiter, 5)
        return observation.status if observation else "nothing"


async def test_a_thousand_waiters_make_ten_requests_a_round(service: Service) -> None:
    """Many runs are asked for together: the number of requests does not grow with the number of tasks."""
    service.statuses = {f"r{number}": "Running" for number in range(1000)}
    hub = Hub(service)  # type: ignore[arg-type]
    statuses = await asyncio.gather(*(status_of(hub, name) for name in service.statuses))
    assert set(statuses) == {"Running"}
    assert len(service.asked) <= 20
    assert max(len(ids) for ids in service.asked) == 100


async def test_only_a_change_wakes_a_waiter(service: Service) -> None:
    """A trigger sleeps through every poll that has nothing new for it."""
    service.statuses = {"a": "Running", "b": "Running"}
    hub = Hub(service)  # type: ignore[arg-type]
    with hub.watching(run("a"), INTERVAL) as first, hub.watching(run("b"), INTERVAL) as second:
        assert (await news(first, 5)).status == (await news(second, 5)).status == "Running"
        rounds = len(service.asked)
        assert await news(first, 10 * INTERVAL) is None
        assert len(service.asked) > rounds
        service.statuses["b"] = "Completed"
        assert (await news(second, 5)).status == "Completed"
        assert await news(first, 3 * INTERVAL) is None


async def test_the_first_waiters_end_does_not_end_the_others(service: Service) -> None:
    """The trigger that happened to start the poller may be cancelled: the others are told all the same."""
    service.statuses = {"a": "Running", "b": "Running"}
    hub = Hub(service)  # type: ignore[arg-type]
    first = asyncio.create_task(status_of(hub, "absent"))
    await asyncio.sleep(0)
    second = asyncio.create_task(status_of(hub, "b"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "Running"


async def test_the_poller_ends_when_nobody_waits_and_starts_again(service: Service) -> None:
    """An idle triggerer asks nothing."""
    service.statuses = {"a": "Running"}
    hub = Hub(service)  # type: ignore[arg-type]
    assert await status_of(hub, "a") == "Running"
    await asyncio.sleep(5 * INTERVAL)
    idle = len(service.asked)
    await asyncio.sleep(5 * INTERVAL)
    assert len(service.asked) == idle
    assert await status_of(hub, "a") == "Running"


async def test_a_run_that_is_gone_is_said_to_be(service: Service) -> None:
    """An id that the batch does not know is asked for by itself before it is given up."""
    service.statuses = {"a": "Running"}
    hub = Hub(service)  # type: ignore[arg-type]
    assert await asyncio.gather(status_of(hub, "a"), status_of(hub, "absent")) == ["Running", "NotFound"]


async def test_a_passing_error_only_makes_the_wait_longer(service: Service) -> None:
    """A service that fails for a while loses no waiter."""
    service.statuses, service.error = {"a": "Running"}, ServiceError("down")
    hub = Hub(service)  # type: ignore[arg-type]
    with hub.watching(run("a"), INTERVAL) as waiter:
        assert await news(waiter, 5 * INTERVAL) is None
        service.error = None
        assert (await news(waiter, 5)).status == "Running"


async def test_without_batches_runs_are_asked_for_one_by_one_at_the_hubs_pace(requests_mock: Any) -> None:
    """A service that knows no call for many runs is not flooded: single requests, the hub's gap apart."""
    region, when = "https://eastus.api.azureml.ms", []
    workspace = {"properties": {"discoveryUrl": f"{region}/discovery"}}
    requests_mock.get(f"https://management.azure.com{WORKSPACE.arm_path}", json=workspace)
    requests_mock.get(f"{region}/discovery", json={"api": region})
    requests_mock.post(f"{region}/history/v1.0{WORKSPACE.arm_path}/batchrundata", status_code=404)

    def status(request: Any, _context: Any) -> Any:
        when.append(time.monotonic())
        return {"runId": request.path.rpartition("/")[2], "status": "Completed"}

    requests_mock.get(re.compile("/runs/r"), json=status)
    client = AzureMLClient(WORKSPACE, StaticToken("t"))
    hub = Hub(client)
    assert set(await asyncio.gather(*(status_of(hub, f"r{number}") for number in range(12)))) == {"Completed"}
    assert client.transport.requests["get many runs"] == 1
    assert (len(when), client.runs.batch_size) == (12, 1)
    assert when[-1] - when[0] >= 11 * 0.9 * LEAST_GAP
    client.close()


@pytest.mark.parametrize("error", [PermissionDeniedError("no"), ServiceError("down")])
async def test_an_error_that_stays_is_told(service: Service, error: AzureMLError) -> None:
    """After the budget, a refusal as well as an outage; neither fails the task for good."""
    service.error = error
    hub = Hub(service, unreachable_timeout=3 * INTERVAL)  # type: ignore[arg-type]

    async def told(waiter: Waiter) -> None:
        while await news(waiter, 5) is None:
            waiter.refused = False

    with hub.watching(run("a"), INTERVAL) as waiter, pytest.raises(type(error)) as raised:
        await told(waiter)
    assert not raised.value.permanent


async def test_a_refusal_asks_for_the_connection_to_be_read_again(service: Service) -> None:
    """A secret may have been replaced: the trigger is woken now and then, not at every poll, and told nothing."""
    service.statuses, service.error = {"a": "Running"}, PermissionDeniedError("no")
    hub = Hub(service)  # type: ignore[arg-type]
    with hub.watching(run("a"), INTERVAL) as waiter:
        assert await news(waiter, 5) is None
        assert waiter.refused
        waiter.refused = False
        rounds = len(service.asked)
        assert await news(waiter, 10 * INTERVAL) is None
        assert not waiter.refused
        assert len(service.asked) > rounds
        service.error = None
        assert (await news(waiter, 5)).status == "Running"


async def test_a_mistake_of_ours_leaves_nobody_waiting(service: Service) -> None:
    """If the poller itself breaks, its waiters are told, and the next one starts it anew."""
    hub = Hub(service)  # type: ignore[arg-type]
    service.statuses = {"a": "Running"}
    hub._next = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with hub.watching(run("a"), INTERVAL) as waiter, pytest.raises(AzureMLError, match="ZeroDivisionError"):
        await news(waiter, 5)
    del hub._next
    assert await status_of(hub, "a") == "Running"


async def test_an_odd_answer_concerns_its_target_only(service: Service) -> None:
    """A run whose answer cannot be read is waited for as in an outage; the others of its batch are told as ever."""
    service.statuses = {"good": "Running"}
    odd: dict[str, Any] = {"runId": "odd", "status": ["Running"]}
    service.get = lambda *_: Run.of(odd)  # type: ignore[method-assign]
    hub = Hub(service, unreachable_timeout=0.3)  # type: ignore[arg-type]
    with hub.watching(run("good"), INTERVAL) as good, hub.watching(run("odd"), INTERVAL) as bad:
        assert (await news(good, 5)).status == "Running"
        with pytest.raises(ServiceError, match="the answer is not as expected"):
            await news(bad, 5)
        odd["status"] = "Completed"
        assert (await news(bad, 5)).status == "Completed"
        assert service.asked


async def test_a_look_that_breaks_altogether_is_an_outage(service: Service) -> None:
    """A mistake of ours while many are looked at must not end a thousand healthy waits at once."""
    hub, look_many = Hub(service), service.look_many  # type: ignore[arg-type]
    service.statuses = {"a": "Running"}
    service.look_many = lambda _: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with hub.watching(run("a"), INTERVAL) as waiter:
        assert await news(waiter, 10 * INTERVAL) is None
        service.look_many = look_many  # type: ignore[method-assign]
        assert (await news(waiter, 5)).status == "Running"


async def test_one_look_that_fails_fails_nobody_else(service: Service) -> None:
    """Runs are asked for together, but the refusal of one concerns that one only."""
    service.statuses = {"a": "Running"}

    def refuse(name: str, _experiment: str | None) -> Any:
        raise PermissionDeniedError(name)

    service.get = refuse  # type: ignore[method-assign]
    hub = Hub(service)  # type: ignore[arg-type]
    with hub.watching(run("a"), INTERVAL) as good, hub.watching(run("b"), INTERVAL) as bad:
        assert await news(bad, 5) is None
        assert (bad.refused, good.refused) == (True, False)
        assert (await news(good, 5)).status == "Running"
        assert await news(good, 5 * INTERVAL) is None


async def test_a_newcomer_is_next(service: Service) -> None:
    """What has never been looked at may have ended long ago: it does not wait for a whole round of the others."""
    service.batch_size = 2
    service.statuses = {f"r{number}": "Running" for number in range(9)}
    hub = Hub(service)  # type: ignore[arg-type]
    with contextlib.ExitStack() as waiting:
        first = [waiting.enter_context(hub.watching(run(f"r{number}"), INTERVAL)) for number in range(8)]
        await asyncio.wait([asyncio.create_task(news(each, 5)) for each in first], return_when="FIRST_COMPLETED")
        asked = len(service.asked)
        assert await status_of(hub, "r8") == "Running"
        assert "r8" in service.asked[asked]


async def test_each_has_its_turn(service: Service) -> None:
    """Those that have waited longest are asked for next, whatever comes and goes."""
    service.batch_size = 2
    service.statuses = {f"r{number}": "Running" for number in range(5)}
    hub = Hub(service)  # type: ignore[arg-type]
    assert set(await asyncio.gather(*(status_of(hub, name) for name in service.statuses))) == {"Running"}
    assert sorted(name for ids in service.asked[:3] for name in ids)[:5] == sorted(service.statuses)


async def test_somebody_in_a_hurry_does_not_wait_for_the_patient(service: Service) -> None:
    """A short interval counts from the moment its trigger joins, though the poller was resting for a long one."""
    service.statuses = {"a": "Running", "b": "Running"}
    hub = Hub(service)  # type: ignore[arg-type]
    with hub.watching(run("a"), 3600) as patient:
        assert (await news(patient, 5)).status == "Running"
        await asyncio.sleep(2 * LEAST_GAP)
        assert await status_of(hub, "b") == "Running"


async def test_ends_are_told_one_by_one(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A triggerer must store every event: a thousand runs that end together do not become one burst."""
    monkeypatch.setattr("airflow_azml.triggers.hub.WAKE_GAP", 10 * INTERVAL)
    service.statuses = {"a": "Completed", "b": "Completed"}
    hub = Hub(service)  # type: ignore[arg-type]
    ends = [asyncio.create_task(status_of(hub, name)) for name in service.statuses]
    done, pending = await asyncio.wait(ends, return_when="FIRST_COMPLETED")
    assert (len(done), len(pending)) == (1, 1)
    assert await pending.pop() == "Completed"


class Log:
    """A run's log that has one more line each time it is read."""

    def __init__(self, name: str) -> None:
        self.name, self.read_lines, self.shown = name, 0, list[str]()

    async def read(self, _client: Any) -> list[str]:
        self.read_lines += 1
        return [f"{self.name} {self.read_lines}"]

    async def show(self, lines: list[str]) -> None:
        self.shown += lines


async def test_logs_are_read_in_turn_while_their_runs_run(service: Service) -> None:
    """One reader serves all; a run that is queued has no log to read."""
    service.statuses = {"a": "Running", "b": "Running", "c": "Queued"}
    hub = Hub(service)  # type: ignore[arg-type]
    logs = {name: Log(name) for name in service.statuses}

    async def wait(name: str) -> None:
        with hub.watching(run(name), INTERVAL, logs[name]) as waiter:  # type: ignore[arg-type]
            await news(waiter, 5)
            await news(waiter, 0.7)

    await asyncio.gather(*map(wait, logs))
    assert all(logs[name].shown[:2] == [f"{name} 1", f"{name} 2"] for name in "ab")
    assert logs["c"].read_lines == 0
    assert abs(logs["a"].read_lines - logs["b"].read_lines) <= 1


async def test_lines_that_were_read_too_late_are_left_to_who_ends_the_task(service: Service) -> None:
    """What was being read when the wait ended is not shown here: the position is that of the last line shown."""
    service.statuses = {"a": "Running"}
    hub = Hub(service)  # type: ignore[arg-type]
    reading, done = asyncio.Event(), asyncio.Event()

    class Slow(Log):
        async def read(self, client: Any) -> list[str]:
            reading.set()
            await done.wait()
            return await super().read(client)

    slow = Slow("a")
    with hub.watching(run("a"), INTERVAL, slow):  # type: ignore[arg-type]
        await asyncio.wait_for(reading.wait(), 5)
    done.set()
    await asyncio.sleep(0.1)
    assert (slow.read_lines, slow.shown) == (1, [])
