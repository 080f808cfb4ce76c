"""docker-compose.yaml as it stands, started without Docker: the example DAG on Celery, PostgreSQL and Redis."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import yaml
from compose_native import NativeCompose
from emulator_process import wait_until
from postgres_server import postgres_programs

from airflow_azml.demo.airflow_api import AirflowApi
from airflow_azml.demo.follow import ENDED, DagRun
from airflow_azml.demo.report import failures, produced

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
DAG_ID = "azureml_train_deploy_cleanup"
WORKERS = ("worker-1", "worker-2")
needs_servers = pytest.mark.skipif(
    not (postgres_programs() and shutil.which("redis-server")),
    reason="needs PostgreSQL's and Redis's servers: apt-get install postgresql redis-server",
)


@pytest.fixture(scope="module")
def variables() -> Mapping[str, str]:
    """What `make env` writes into .env."""
    script = [sys.executable, str(ROOT / "tools" / "compose_env.py")]
    lines = subprocess.run(script, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(shlex.split(line)[0].split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def compose(variables: Mapping[str, str]) -> Iterator[NativeCompose]:
    """All its services, healthy by its own health checks."""
    with tempfile.TemporaryDirectory(prefix="compose-") as folder:  # in pytest's, PostgreSQL's user could not enter it
        state = Path(folder)
        state.chmod(0o711)
        with NativeCompose(FILE, variables, state) as compose:
            yield compose


@pytest.fixture(scope="module")
def airflow(compose: NativeCompose) -> Iterator[AirflowApi]:
    """Its Airflow, signed in to with the password that the api-server has made."""
    passwords = compose.home("api-server") / "simple_auth_manager_passwords.json.generated"
    airflow = AirflowApi(compose.url("api-server", 8080), "admin", json.loads(passwords.read_text())["admin"])
    yield airflow
    airflow.close()


@needs_servers
@pytest.mark.system
@pytest.mark.timeout(1200)
def test_dag_runs_on_celery(compose: NativeCompose, airflow: AirflowApi) -> None:
    """The example DAG, un-paused and triggered over REST, runs to success as tasks of Celery's workers."""
    wait_until(lambda: airflow.knows(DAG_ID), 120)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    run = DagRun(airflow, DAG_ID, airflow.trigger(DAG_ID, logical_date=today))
    wait_until(lambda: run.state() in ENDED, 900)
    assert not failures(run)
    assert {task.state for task in run.tasks()} == {"success"}
    assert dict(produced(run))["Model"].startswith("machine-failure:")
    received = sum(compose.log(worker).read_text().count("received") for worker in WORKERS)
    assert received >= len(run.tasks())


@needs_servers
@pytest.mark.system
def test_nobody_else_can_reach_it(compose: NativeCompose) -> None:
    """Every port that its processes have opened is one of the loopback interface."""
    sockets = [sock for child in psutil.Process().children(recursive=True) for sock in child.net_connections()]
    opened = [sock.laddr for sock in sockets if sock.status == psutil.CONN_LISTEN]
    assert len(opened) >= len({"api-server", "postgres", "redis", "emulator"} & set(compose.running))
    assert {address.ip for address in opened} == {"127.0.0.1"}


def test_no_secret_stands_in_the_file(variables: Mapping[str, str]) -> None:
    """What is named like a secret comes from a variable without a default, and `make env` makes each of them."""
    text = FILE.read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == set(variables)
    assert set(re.findall(r"\$\{\w+(:\?run make env)?\}", text)) == {":?run make env"}
    secret = re.compile("(PASSWORD|SECRET|KEY|AUTH|BROKER_URL|BACKEND)$|CONN(_|$)")
    for spec in yaml.safe_load(text)["services"].values():
        for name, value in spec.get("environment", {}).items():
            assert not secret.search(name) or "${" in value or value.isdigit(), name


def test_ports_are_published_on_loopback_only() -> None:
    """What the file publishes cannot be reached from other machines."""
    services = yaml.safe_load(FILE.read_text())["services"].values()
    assert all(port.startswith("127.0.0.1:") for spec in services for port in spec.get("ports", []))
