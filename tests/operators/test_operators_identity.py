"""The identity of a task's work: whose runs, models and deployments a task adopts or cancels, and whose it refuses."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from airflow_harness import Airflow

from airflow_azml.client.resources.run import Runs
from airflow_azml.client.transport.errors import NotOwnedError
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.operators.model import AzureMLRegisterModelOperator
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.runtime.identity import LABELS, NONCE_KEY, Identity

WRITES = (
    "import pathlib\npathlib.Path('outputs').mkdir(exist_ok=True)\npathlib.Path('outputs/factor').write_text('3')\n"
)
SLEEPS = "import time\ntime.sleep(600)\n"
DAG_RUN = "scheduled__2026-01-02T00:00:00+00:00"


@pytest.fixture
def another(emulator, monkeypatch, tmp_path):
    """Make an Airflow with a database of its own, whose dag, run and task ids are those of the others."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())

    def another(*, with_store=True):
        return Airflow(str(tmp_path / "dag.py"), run_id=DAG_RUN, store={} if with_store else None)

    return another


@pytest.fixture
def start(cpu, _stop_runs):
    """Start a run as one try of one task of an Airflow."""

    def start(airflow, fields, **more):
        return airflow.run(AzureMLStartRunOperator, **{"compute_name": cpu, **fields, **more})

    return start


@pytest.fixture
def connect(emulator, monkeypatch):
    """Change the namespace of the connection."""

    def connect(namespace):
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(namespace=namespace))

    return connect


@pytest.fixture
def tag(emulator):
    """Change the tags of a run by hand."""

    def tag(run_id, **tags):
        emulator.regional("PATCH", "history/v1.0", f"/runs/{run_id}", json={"runId": run_id, "tags": tags})

    return tag


def of(run_id):
    """Return a run as the service has it."""
    return AzureMLHook().client.runs.get(run_id)


def test_two_airflows_with_the_same_ids_do_not_share_a_run(another, start, project):
    """Each database has its own nonce: the second Airflow's code runs, and its retry adopts its own run."""
    fields, dev, prod = project(WRITES), another(), another()
    first, second = (start(airflow, fields).result["run_id"] for airflow in (dev, prod))
    assert first != second
    assert {of(run).status for run in (first, second)} == {"Completed"}
    for airflow, run in ((dev, first), (prod, second)):
        assert start(airflow, fields, try_number=2, retries=1).result["run_id"] == run


def test_killing_one_airflows_task_leaves_the_others_run(another, start, project):
    """Nor does clearing it cancel a run that only looks like one of its former ones."""
    fields, dev, prod = project(SLEEPS), another(), another()
    left = start(dev, fields, wait_for_completion=False).result["run_id"]
    killed = start(prod, fields, execution_timeout=timedelta(seconds=4))
    assert isinstance(killed.error, AirflowTaskTimeout)
    start(prod, fields, wait_for_completion=False, try_number=2, max_tries=1)
    assert not of(left).phase.terminal


def test_the_nonce_is_stored_before_anything_is_submitted_and_never_expires(another, start, project, emulator):
    """A worker that dies during the request leaves the nonce behind, with which the next try finds the run."""
    fields, airflow = project(SLEEPS), another()
    fault = {"path": f"/{fields['experiment_name']}/startrun", "delay": 600, "afterWork": True}
    emulator.control("POST", "faults", json=fault).raise_for_status()
    killed = start(airflow, fields, execution_timeout=timedelta(seconds=3), cancel_on_kill=False, retries=1)
    assert isinstance(killed.error, AirflowTaskTimeout)
    assert {(task, key) for _, task, key in airflow.store} == {("task", NONCE_KEY)}
    assert airflow.expiries == {NONCE_KEY: None}
    adopted = start(airflow, fields, wait_for_completion=False, cancel_on_kill=False, try_number=2, retries=1).result
    (run,) = AzureMLHook().client.runs.list(fields["experiment_name"])
    assert run.id == adopted["run_id"]


def test_a_run_carries_whose_it_is_and_the_way_back(another, start, project, connect):
    """The tags name the task, and the nonce only by a digest; the link leads to the task in Airflow."""
    airflow = another()
    connect("prod")
    tags = of(start(airflow, project(WRITES)).result["run_id"]).tags
    assert {name: tags[name] for name in LABELS if name != "airflow_nonce"} == {
        "airflow_dag_id": "shop",
        "airflow_run_id": DAG_RUN,
        "airflow_task_id": "task",
        "airflow_map_index": "-1",
        "airflow_namespace": "prod",
    }
    (nonce,) = airflow.store.values()
    assert len(tags["airflow_nonce"]) == 12
    assert nonce not in str(tags)
    assert "/dags/shop/runs/scheduled__2026-01-02T00%3A00%3A00%2B00%3A00/tasks/task" in tags["airflow_url"]


@pytest.mark.parametrize(("namespaces", "runs"), [(("dev", "prod"), 2), (("prod", "prod"), 1)])
def test_before_airflow_3_3_the_namespace_tells_two_airflows_apart(another, start, project, connect, namespaces, runs):
    """Without a task state store two Airflows with one namespace are one; with two they share nothing."""
    fields, found = project(WRITES), set()
    for namespace in namespaces:
        airflow = another(with_store=False)
        connect(namespace)
        found.add(start(airflow, fields).result["run_id"])
    assert len(found) == runs


def test_before_airflow_3_3_a_retry_adopts_the_run(another, start, project):
    """Also without a namespace: what the id is derived from is the same in every try."""
    fields, airflow = project(WRITES), another(with_store=False)
    first = start(airflow, fields, wait_for_completion=False, retries=1).result["run_id"]
    assert start(airflow, fields, try_number=2, retries=1).result["run_id"] == first


def test_a_run_whose_tags_disagree_is_refused(another, start, project, tag):
    """It is neither adopted nor followed by another one, and the error says whose it is."""
    fields, airflow = project(SLEEPS), another()
    run_id = start(airflow, fields, wait_for_completion=False, retries=2).result["run_id"]
    tag(run_id, airflow_dag_id="bank", airflow_namespace="prod")
    outcome = start(airflow, fields, try_number=2, retries=2)
    assert (outcome.state, type(outcome.error)) == ("failed", AirflowFailException)
    assert isinstance(outcome.error.__context__, NotOwnedError)
    assert f"run {run_id} has the id that this task uses" in str(outcome.error)
    whose = f"DAG 'bank', dag run '{DAG_RUN}', task 'task', map index '-1', namespace 'prod'"
    assert f"belongs to {whose}" in str(outcome.error)
    assert [run.id for run in AzureMLHook().client.runs.list(fields["experiment_name"])] == [run_id]
    assert not of(run_id).phase.terminal


def test_a_former_run_whose_tags_disagree_is_not_cancelled(another, start, project, tag, capsys):
    """The cleared task starts its own run and says why it has left the other."""
    fields, airflow = {**project(SLEEPS), "wait_for_completion": False}, another()
    left = start(airflow, fields).result["run_id"]
    tag(left, airflow_task_id="other")
    now = start(airflow, fields, try_number=2, max_tries=1).result["run_id"]
    assert now != left
    assert not of(left).phase.terminal
    assert f"run {left} has the id that this task uses" in capsys.readouterr().out


def test_a_foreign_run_that_appears_while_we_submit_is_not_cancelled(another, start, project, tag, monkeypatch):
    """It was not there before the request was sent; the kill of this task does not touch it."""
    fields, airflow, real = project(SLEEPS), another(), Runs.start

    def start_and_lose(runs, experiment, bundle, definition, run_id):
        real(runs, experiment, bundle, definition, run_id)
        tag(run_id, airflow_run_id="manual__2", airflow_dag_id="bank")
        raise KeyboardInterrupt  # kills the task, see AzureMLTask.at_work

    monkeypatch.setattr(Runs, "start", start_and_lose)
    assert isinstance(start(airflow, fields).error, KeyboardInterrupt)
    (run,) = AzureMLHook().client.runs.list(fields["experiment_name"])
    assert not run.phase.terminal


def test_a_run_that_could_not_be_tagged_goes_on_and_is_tagged_by_the_next_try(
    another, start, project, emulator, capsys
):
    """The task does not fail for its tags; an untagged run under our id is ours."""
    fields, airflow = project(SLEEPS), another()
    fault = {"method": "PATCH", "path": "/history/.*/runs/", "status": 403, "times": 1}
    emulator.control("POST", "faults", json=fault).raise_for_status()
    fields["wait_for_completion"] = False
    run_id = start(airflow, fields, retries=1).result["run_id"]
    assert "could not be tagged" in capsys.readouterr().out
    assert of(run_id).tags == {}
    assert start(airflow, fields, try_number=2, retries=1).result["run_id"] == run_id
    assert of(run_id).tags["airflow_task_id"] == "task"


def test_two_airflows_register_a_version_each(another, start, project):
    """A model's version is adopted by its own task only; it carries the tags as properties."""
    dev, prod, name = another(), another(), f"m-{uuid.uuid4().hex[:8]}"
    trained = start(dev, project(WRITES)).result["run_id"]
    fields = {"model_name": name, "run_id": trained, "model_path": "outputs/factor", "task_id": "register"}
    versions = [
        airflow.run(AzureMLRegisterModelOperator, try_number=number, retries=1, **fields).result["model_version"]
        for airflow, number in ((dev, 1), (prod, 1), (dev, 2), (prod, 2))
    ]
    assert versions == ["1", "2", "1", "2"]
    properties = AzureMLHook().client.models.get(name, "2").properties
    assert properties["airflow_task_id"] == "register"


def test_a_link_that_is_too_long_for_a_tag_is_left_out():
    """Resource Manager takes 256 characters; what has to agree is at most as long as Airflow's own ids."""
    long = {"dag_id": "d" * 250, "run_id": "r" * 250, "task_id": "t" * 250, "map_index": 3, "generation": 0}
    tags = Identity(**long, url="https://airflow.example/" + "x" * 300).tags
    assert set(tags) == {"airflow_dag_id", "airflow_run_id", "airflow_task_id", "airflow_map_index"}
    assert len(Identity(**long, nonce="n").name("0")) <= 100
