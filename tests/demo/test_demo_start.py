"""The demo's way to its dag run: what it checks first, how long it waits, and a Ctrl-C on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from emulator_process import wait_until
from rich.console import Console

from airflow_azml.demo import demo
from airflow_azml.demo.processes import Service, ServiceError, stop
from airflow_azml.demo.services import Services

PROGRAM = Path(sys.executable).with_name("airflow-azml")
DAGS = Path(__file__).parents[2] / "dags"


@pytest.mark.parametrize(
    ("folder", "what"), [("empty", "has no azureml_train_deploy_cleanup.py"), ("absent", "is no folder")]
)
def test_a_folder_without_the_dag_is_refused(tmp_path: Path, folder: str, what: str) -> None:
    """The folder and the option are named, and nothing is started."""
    (tmp_path / "empty").mkdir()
    command = [PROGRAM, "demo", "--state", tmp_path / "state", "--dags", tmp_path / folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = f"{tmp_path / folder} {what}; name the folder of the example DAG with --dags."
    assert (done.returncode, done.stdout) == (1, f"ServiceError: {said}\n")
    assert not (tmp_path / "state").exists()


def test_a_dag_that_airflow_does_not_find_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the DAG has an end, and the message names the folder."""

    def unknown(*_: Any) -> bool:
        return False

    services = Services(tmp_path / "state", DAGS)
    monkeypatch.setattr(services.airflow, "knows", unknown)
    monkeypatch.setattr(demo, "DAG_WAIT", -1.0)
    with pytest.raises(ServiceError, match=rf"found no DAG azureml_train_deploy_cleanup in {DAGS} within"):
        demo.Demo(Console(), services)._trigger()
    services.airflow.close()


def test_an_interrupt_while_it_starts_is_answered(tmp_path: Path) -> None:
    """Ctrl-C before everything is up: it says that it stops, then that it has."""
    state = tmp_path / "state"
    command = [str(PROGRAM), "demo", "--state", str(state), "--dags", str(DAGS)]
    service = Service("demo", command, os.environ, tmp_path / "log")
    try:
        wait_until((state / "airflow.log").exists)
        service.ask_to_end()
        service.wait(60)
        assert service.log.read_text().splitlines() == [
            "Starting the emulator and Airflow ...",
            "Stopping everything ...",
            "Interrupted; everything has been stopped.",
        ]
    finally:
        stop([service])
