"""One Airflow and one emulator for all situations of this folder, and a way to let situations take place together."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from airflow_stack import AirflowStack, parsed
from emulator_process import EmulatorProcess
from postgres_server import postgres_programs
from situations import World

HERE = Path(__file__).parent
AT_ONCE = 10  # situations; more would only wait for the two processors of a small machine
WIDE = {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 200}}
_shared = ExitStack()
_together = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="situation")
_started: dict[str, Future[None]] = {}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A new Airflow and a new emulator with a cluster that is never full."""
    if not postgres_programs():
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("world")
    (folder / "gates").mkdir()
    emulator = EmulatorProcess(folder / "data").start()
    _shared.callback(emulator.stop)
    cluster = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": WIDE}}
    emulator.arm("PUT", "/computes/wide", json=cluster).raise_for_status()
    connection = {"AIRFLOW_CONN_AZUREML_DEFAULT": emulator.connection()}
    stack = AirflowStack(folder / "stack", HERE / "dags", connection, parallelism=2 * AT_ONCE)
    _shared.enter_context(stack)
    parsed(stack.api, "mapped_deferred")
    world = World(stack, emulator, folder / "gates")
    # The first look-up of a triggerer makes Airflow build an API within it, and nothing else for seconds.
    warm_up = world.situation("plain_deferred")
    warm_up.open()
    warm_up.ends("success", {"Completed": 1})
    return world


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Stop what is shared after the folder's last test: the other folders' tests need the processor."""
    if nextitem is None or HERE not in nextitem.path.parents:
        _shared.close()


def pytest_sessionfinish() -> None:
    """Stop it also when the tests were broken off."""
    _shared.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run all tests of a module that says `TOGETHER = True` at the same time, in threads; each has its own result."""
    if not getattr(pyfuncitem.module, "TOGETHER", False):
        return None
    if pyfuncitem.nodeid not in _started:
        world = pyfuncitem.funcargs["world"]
        for item in pyfuncitem.session.items:
            if isinstance(item, pytest.Function) and item.module is pyfuncitem.module:
                _started[item.nodeid] = _together.submit(item.obj, **_arguments(item, world))
    _started[pyfuncitem.nodeid].result()
    return True


def _arguments(item: pytest.Function, world: World) -> dict[str, Any]:
    return {"world": world, **(item.callspec.params if hasattr(item, "callspec") else {})}
