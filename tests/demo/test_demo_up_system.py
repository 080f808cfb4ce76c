"""`airflow-azml up` with a folder of one's own: its connection can be seen, tested, and used elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_process import wait_until

from airflow_azml.demo.airflow_api import AirflowApi, AirflowApiError
from airflow_azml.demo.airflow_settings import PASSWORD, USERNAME
from airflow_azml.demo.processes import Service, stop

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
PROGRAM = str(Path(sys.executable).with_name("airflow-azml"))
FIRST = Path(__file__).parents[2] / "dags" / "first"


@pytest.fixture(scope="module")
def up(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`up` with a copy of the first example, once it waits for Ctrl-C."""
    folder = tmp_path_factory.mktemp("up")
    shutil.copytree(FIRST, folder / "mine")
    command = [PROGRAM, "up", "--state", str(state), "--dags", str(folder / "mine")]
    service = Service("up", command, os.environ, folder / "log")
    try:
        service.wait_until(lambda: "Ctrl-C" in service.log.read_text(), 600)
        yield service
    finally:
        stop([service], patience=60)


@pytest.fixture(scope="module")
def airflow(up: Service) -> Iterator[AirflowApi]:
    """Its Airflow, at the address and with the password that it prints."""
    url, user, password = re.search(r"Airflow: (\S+) +\(user (\w+), password (\w+)\)", up.log.read_text()).groups()
    assert (user, password) == (USERNAME, PASSWORD)
    airflow = AirflowApi(url, user, password)
    yield airflow
    airflow.close()


def test_a_dag_of_ones_own_runs(airflow: AirflowApi) -> None:
    """The folder needs no example of ours: its DAG is found, and runs on the emulator."""
    wait_until(lambda: airflow.knows("azureml_first"), 120)
    run_id = airflow.trigger("azureml_first", conf={"rounds": 2})
    wait_until(lambda: airflow.run_state("azureml_first", run_id) in {"success", "failed"}, 300)
    [train] = [task for task in airflow.task_instances("azureml_first", run_id) if task.task_id == "train"]
    log = [line.text for line in airflow.log("azureml_first", run_id, train)]
    assert airflow.run_state("azureml_first", run_id) == "success", log
    assert "round 2 of 2: loss 0.2500" in log


def test_other_programs_can_use_the_connection(up: Service, tmp_path: Path) -> None:
    """The line that it prints, pasted into a shell, leads the doctor to the emulator."""
    [line] = re.findall(r"^export (AIRFLOW_CONN_AZUREML_DEFAULT=.*)$", up.log.read_text(), re.MULTILINE)
    name, _, value = shlex.split(line)[0].partition("=")
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), name: value}
    done = subprocess.run([PROGRAM, "doctor"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def shown(airflow: AirflowApi, conn_id: str) -> dict[str, Any]:
    """Return what the form sends when Test is pressed on a kept connection: secrets masked, no port as 0."""
    seen = airflow.call("GET", f"/connections/{conn_id}")
    assert seen["password"] == "***"
    kept = {name: seen[name] for name in ("connection_id", "conn_type", "host", "login", "password", "extra")}
    return {**kept, "port": seen["port"] or 0}


def test_the_test_button_works(airflow: AirflowApi) -> None:
    """Airflow shows the connection under Admin > Connections, and its Test says what was found."""
    answer = airflow.call("POST", "/connections/test", json=shown(airflow, "azureml_default"))
    assert answer["status"], answer
    assert "workspace: local in eastus" in answer["message"]


def test_what_the_test_button_of_this_airflow_needs(up: Service, airflow: AirflowApi) -> None:
    """As the README says: it refuses a kept connection without a port, and tests it when it has any."""
    default = airflow.call("GET", "/connections/azureml_default")
    secret = re.search(r'"password": "([^"]+)"', up.log.read_text())[1]
    body = {**{name: default[name] for name in ("conn_type", "login", "extra")}, "password": secret}
    airflow.call("POST", "/connections", json={**body, "connection_id": "without"})
    airflow.call("POST", "/connections", json={**body, "connection_id": "with", "port": 443})
    with pytest.raises(AirflowApiError, match=r"400 .*host or port to test differs"):
        airflow.call("POST", "/connections/test", json=shown(airflow, "without"))
    assert airflow.call("POST", "/connections/test", json=shown(airflow, "with"))["status"]


def test_ctrl_c_ends_it_well(up: Service, airflow: AirflowApi) -> None:
    """Exit code 0, and nobody answers any more."""
    up.ask_to_end()
    up.wait(60)
    assert up._process.returncode == 0
    assert up.log.read_text().endswith("Stopped.\n")
    with pytest.raises(httpx.TransportError):
        airflow.call("GET", "/dags")
