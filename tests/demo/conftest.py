"""One folder of state for all tests that start a real Airflow: a later one finds the environments built."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's state."""
    return tmp_path_factory.mktemp("demo") / "state"
