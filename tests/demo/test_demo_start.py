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
from airflow_azml.demo.examples import example_dags, has_example
from airflow_azml.demo.processes import Service, ServiceError, stop
from airflow_azml.demo.services import Services

PROGRAM = Path(sys.executable).with_name("airflow-azml")
DAGS = Path(__file__).parents[2] / "dags"


NO_EXAMPLE = (
    "has no azureml_train_deploy_cleanup.py, the DAG that the demo runs; "
    "for DAGs of your own, use `airflow-azml up --dags`."
)
NO_FOLDER = "is no folder; name the folder of the DAGs with --dags."


@pytest.mark.parametrize(
    ("verb", "folder", "what"),
    [("demo", "empty", NO_EXAMPLE), ("demo", "absent", NO_FOLDER), ("up", "absent", NO_FOLDER)],
)
def test_a_folder_without_what_is_to_be_run_is_refused(tmp_path: Path, verb: str, folder: str, what: str) -> None:
    """The folder and what to do are named, and nothing is started."""
    (tmp_path / "empty").mkdir()
    command = [PROGRAM, verb, "--state", tmp_path / "state", "--dags", tmp_path / folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, f"ServiceError: {tmp_path / folder} {what}\n")
    assert not (tmp_path / "state").exists()


def test_the_examples_are_found_wherever_it_is_started() -> None:
    """Without --dags, the folder is that of the installed package or of its checkout, not of the working directory."""
    assert has_example(example_dags())
    assert example_dags() == DAGS  # editable: the checkout's


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
