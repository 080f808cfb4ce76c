"""Fixtures that all rooms share: an emulator in a process of its own, and an Airflow home that is nobody's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_process import EmulatorProcess, wait_until

# Airflow reads this when it is first imported, which is before any fixture runs.
_HOME = os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


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
