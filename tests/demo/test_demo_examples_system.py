"""The other example DAGs, each run by a real Airflow (scheduler, triggerer, api-server) against the emulator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_process import wait_until

from airflow_azml.demo.services import Services
from airflow_azml.hooks.connection import Settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="module")
def services(state: Path) -> Iterator[Services]:
    """Airflow and the emulator, for the tests of this module."""
    with Services(state, DAGS) as services:
        yield services


@pytest.fixture(scope="module")
def client(services: Services) -> Any:
    """The client of the connection that Airflow uses."""
    connection = json.loads(services.connection)
    extra = connection["extra"] if isinstance(connection["extra"], dict) else json.loads(connection["extra"])
    settings = Settings.read("test", connection["login"], connection["password"], extra)
    return settings.client(lambda _: None)


def run_dag(services: Services, dag_id: str, **conf: Any) -> str:
    """Run a DAG to its end and return the dag run's id; show the log of what failed."""
    airflow = services.airflow
    wait_until(lambda: airflow.knows(dag_id), seconds=120)
    run_id = airflow.trigger(dag_id, conf=conf)
    wait_until(lambda: airflow.run_state(dag_id, run_id) in {"success", "failed"}, seconds=600)
    for task in airflow.task_instances(dag_id, run_id):
        if task.state == "failed":
            raise AssertionError("\n".join(line.text for line in airflow.log(dag_id, run_id, task)))
    assert airflow.run_state(dag_id, run_id) == "success"
    return run_id


def test_a_sweep_trains_in_parallel_and_registers_the_best(services: Services, client: Any) -> None:
    """Four mapped tasks are four runs; the registered model is of the run with the best metric; no compute is left."""
    run_dag(services, "azureml_sweep", trees=[5, 60], learning_rates=[0.05, 0.2])
    runs = [run for run in client.runs.list("machine-failure") if "azureml-sweep-train" in run.id]
    assert len(runs) == 4
    scores = {run.id: client.metrics.latest(run.id)["auc"] for run in runs}
    assert len(set(scores.values())) > 1
    model = next(iter(client.models.list("machine-failure-sweep")))
    assert scores[model.run_id] == max(scores.values())
    assert [compute.name for compute in client.computes.list()] == []


def test_outputs_are_downloaded(services: Services, client: Any, tmp_path: Path) -> None:
    """The file that the script wrote in its run is in the folder, with the very bytes that the workspace has."""
    run_id = run_dag(services, "azureml_download", destination=str(tmp_path))
    model = tmp_path / run_id / "outputs" / "model" / "model.joblib"
    trained = services.airflow.xcom("azureml_download", run_id, "train")
    azureml_run = trained["run_id"] if isinstance(trained, dict) else json.loads(trained)["run_id"]
    again = client.artifacts.download(client.runs.get(azureml_run), "outputs/model/model.joblib", tmp_path / "again")
    assert model.read_bytes() == again.read_bytes()
    assert len(model.read_bytes()) > 1000


def test_the_clean_up_deletes_old_versions_and_marked_endpoints_only(services: Services, client: Any) -> None:
    """By default nothing; else versions beyond the newest ones, and endpoints with both prefix and tag."""
    run = next(run for run in client.runs.list("machine-failure") if run.status == "Completed")
    for number in range(4):
        client.models.register(run, name="to-clean", path="outputs/model", key=str(number))
    client.endpoints.ensure("tmp-one", {"properties": {"authMode": "Key"}, "tags": {"temporary": "true"}})
    client.endpoints.ensure("tmp-kept", {"properties": {"authMode": "Key"}})
    wait_until(lambda: all(endpoint.provisioning_state == "Succeeded" for endpoint in client.endpoints.list()))
    chosen = {"models": ["to-clean"], "keep_versions": 2, "keep_days": 0}
    run_dag(services, "azureml_cleanup", **chosen)
    assert len(list(client.models.list("to-clean"))) == 4
    assert len(list(client.endpoints.list())) == 2
    run_dag(services, "azureml_cleanup", **chosen, dry_run=False)
    assert [model.version for model in client.models.list("to-clean")] == ["4", "3"]
    assert [endpoint.name for endpoint in client.endpoints.list()] == ["tmp-kept"]
    client.endpoints.delete("tmp-kept")  # the next tests look whether anything is left
    wait_until(lambda: not list(client.endpoints.list()))


def test_no_example_has_a_secret_in_its_logs(services: Services) -> None:
    """Tokens and signatures of the runs above are in no file that Airflow has written."""
    logs = [path.read_text(errors="replace") for path in (services.state / "airflow" / "logs").rglob("*.log")]
    assert len(logs) > 10
    assert not re.search(r"eyJ[\w-]{20,}\.[\w-]{20,}|[?&]sig=(?!\*\*\*|REDACTED)[\w%]{10,}", "\n".join(logs))
