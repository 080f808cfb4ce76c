"""Fixtures that all rooms share: an emulator in a process of its own, and an Airflow home that is nobody's."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_process import EmulatorProcess, wait_until

# Airflow reads this when it is first imported, which is before any fixture runs.
_HOME = os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] = "0"  # no worker here: triggers need not wait for one to settle
# Deployments of all emulators and test runs share the environments: building one takes longer than most tests.
os.environ["AZUREML_EMULATOR_ENVIRONMENTS"] = str(Path(__file__).parents[1] / ".cache" / "environments")
WAITING = {"operators", "sensors", "triggers"}  # for runs of the emulator
MEASURING = "COVERAGE_PROCESS_CONFIG"  # lets coverage begin in a new Python process
_set_aside: dict[str, str] = {}


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: the Airflows, which work, and beside them what mostly waits."""
    items.sort(key=lambda item: (item.get_closest_marker("system") is None, item.path.parent.name not in WAITING))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Do not measure the coverage of a real Airflow's processes: that would double what they cost.

    What they run of ours, tests without it run too, except what is marked `measured`.
    """
    measured = item.get_closest_marker("system") is None or item.get_closest_marker("measured")
    if MEASURING in os.environ:
        _set_aside[MEASURING] = os.environ.pop(MEASURING)
    if measured:
        os.environ.update(_set_aside)


# With several processes: what starts a real Airflow, in two of them and no more, for each takes a processor's time.
AIRFLOWS = {"system": "PostgreSQL", "faults": "PostgreSQL", "demo": "standalone", "compose": "standalone"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Leave the tests of a file to one process, for they share much, and keep the Airflows apart from the rest."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - only there it is needed

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return AIRFLOWS.get(file.split("/")[1], file)

    return Together(config, log)


@pytest.fixture(scope="session")
def until() -> Any:
    """`wait_until`: return a condition's first true value; fail when there is none in time."""
    return wait_until


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """One emulator for a module's tests."""
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator") / "data").start()
    yield process
    process.stop()


@pytest.fixture
def fresh_emulator(tmp_path: Path) -> Iterator[EmulatorProcess]:
    """An emulator for one test, to be killed and restarted at will."""
    process = EmulatorProcess(tmp_path / "data").start()
    yield process
    process.stop()


@pytest.fixture
def airflow(emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """One DAG run of a DAG file in `tmp_path`, whose connection leads to the emulator."""
    from airflow_harness import Airflow  # noqa: PLC0415 - only tests of tasks need Airflow

    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
    return Airflow(str(tmp_path / "dag.py"), run_id=f"manual__{uuid.uuid4().hex[:8]}")


@pytest.fixture
def airflow_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """One DAG run whose connection leads nowhere: its tests prove that nothing is sent."""
    from airflow_harness import Airflow  # noqa: PLC0415 - only tests of tasks need Airflow

    from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - likewise

    nowhere = EmulatorProcess(tmp_path / "data")
    connection = nowhere.connection(resource_manager_url=nowhere.url, ca_bundle="")
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", connection)
    yield Airflow(str(tmp_path / "dag.py"), run_id=f"manual__{uuid.uuid4().hex[:8]}")
    assert dict(AzureMLHook().client.transport.requests) == {}


@pytest.fixture
def cpu(emulator: EmulatorProcess) -> str:
    """A compute of the emulator, ready for runs."""
    spec = {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 1, "maxNodeCount": 2}}
    body = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": spec}}
    if emulator.arm("GET", "/computes/cpu").status_code == 404:
        emulator.arm("PUT", "/computes/cpu", json=body).raise_for_status()
    return "cpu"


@pytest.fixture
def _stop_runs(emulator: EmulatorProcess) -> Iterator[None]:
    """Cancel what a test has left running: the compute has two nodes only."""
    yield
    for run in emulator.control("GET", "runs").json()["value"]:
        if run["status"] not in {"Completed", "Failed", "Canceled"}:
            emulator.call("POST", run["cancelUri"])


@pytest.fixture
def project(tmp_path: Path) -> Any:
    """Write a script into the project folder beside the DAG file and return the fields that run it."""

    def write(script: str, **definition: Any) -> dict[str, Any]:
        folder = tmp_path / "train"
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(script)
        python = {"userManagedDependencies": True}
        return {
            "experiment_name": f"exp-{uuid.uuid4().hex[:8]}",
            "source_directory": "train",
            "run_definition": {"script": "train.py", "environment": {"python": python}, **definition},
            "poll_interval": 0.2,
        }

    return write
