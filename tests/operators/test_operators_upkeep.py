"""Looking after a workspace: instances, outputs, tags and deletion, by tasks on a real emulator."""

from __future__ import annotations

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from airflow_azml.client.lifecycle import Goal
from airflow_azml.client.resources.compute import Computes
from airflow_azml.client.resources.compute_instance import ComputeInstances
from airflow_azml.operators.artifact import AzureMLDownloadRunOutputsOperator
from airflow_azml.operators.compute import (
    AzureMLDeleteComputeOperator,
    AzureMLStartComputeOperator,
    AzureMLStopComputeOperator,
)
from airflow_azml.operators.model import (
    AzureMLDeleteModelOperator,
    AzureMLRegisterModelOperator,
    AzureMLSetModelTagsOperator,
)
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.compute import AzureMLWaitForComputeSensor
from airflow_azml.sensors.endpoint import AzureMLWaitForOnlineEndpointSensor
from airflow_azml.sensors.model import AzureMLWaitForModelSensor

WRITES = """
import pathlib
pathlib.Path("outputs/model/deep").mkdir(parents=True)
pathlib.Path("outputs/model/factor").write_text("3")
pathlib.Path("outputs/model/deep/empty").write_text("")
pathlib.Path("outputs/report.txt").write_text("good")
"""
QUICK = {"poll_interval": 0.2}


@pytest.fixture
def trained(airflow, cpu, project):
    """The id of a run that has written outputs."""
    return airflow.run(AzureMLStartRunOperator, task_id="train", compute_name=cpu, **project(WRITES)).result["run_id"]


@pytest.fixture
def model(airflow, trained):
    """The name of a model with two versions."""
    name = airflow.run_id.replace("manual__", "m-")
    for task_id in ("first", "second"):
        fields = {"model_name": name, "run_id": trained, "tags": {"stage": "test"}}
        assert airflow.run(AzureMLRegisterModelOperator, task_id=task_id, **fields).result
    return name


@pytest.fixture
def instance(emulator, airflow, until):
    """The name of a compute instance that runs."""
    name = airflow.run_id.replace("manual__", "ci")
    body = {
        "location": "eastus",
        "properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "STANDARD_DS1_V2"}},
    }
    emulator.arm("PUT", f"/computes/{name}", json=body).raise_for_status()
    until(lambda: state_of(emulator, name) == "Running")
    return name


def state_of(emulator, name):
    return emulator.arm("GET", f"/computes/{name}").json()["properties"]["properties"]["state"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_instance_is_stopped_and_started(airflow, emulator, instance, deferrable):
    """Each waits for the machine itself; doing it again is fine."""
    for operator, state in ((AzureMLStopComputeOperator, "Stopped"), (AzureMLStartComputeOperator, "Running")):
        for _ in range(2):
            fields = {"compute_name": instance, "deferrable": deferrable, **QUICK}
            result = airflow.finish(airflow.run(operator, **fields)).result
            assert (result["compute_name"], result["state"]) == (instance, state)
            assert state_of(emulator, instance) == state


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("operator", [AzureMLStopComputeOperator, AzureMLDeleteComputeOperator])
def test_a_machine_that_still_runs_when_the_time_is_over_is_no_success(
    airflow, instance, monkeypatch, operator, deferrable
):
    """The service has accepted the stop or deletion, and nothing happens: the task fails, for the machine costs."""
    monkeypatch.setattr(ComputeInstances, "stop", lambda here, name: here.target(name, goal=Goal.STOPPED))
    monkeypatch.setattr(Computes, "delete", lambda here, name, *_: here.target(name, goal=Goal.GONE))
    fields = {"compute_name": instance, "deferrable": deferrable, "timeout": 0.5, **QUICK}
    outcome = airflow.finish(airflow.run(operator, **fields))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, TimeoutError), outcome.error
    assert f"{instance} had not ended after" in str(outcome.error)


def test_a_cluster_has_no_switch(airflow, cpu):
    """Said by name, without a request that cannot succeed."""
    outcome = airflow.run(AzureMLStopComputeOperator, compute_name=cpu, retries=2)
    assert isinstance(outcome.error, AirflowFailException)
    assert "is a AmlCompute; only a ComputeInstance starts and stops" in str(outcome.error)


def test_outputs_are_downloaded_to_a_folder(airflow, trained, tmp_path):
    """All outputs, or those below a path, at the same paths; an empty file too; again is fine."""
    there = tmp_path / "there"
    for _ in range(2):
        result = airflow.run(AzureMLDownloadRunOutputsOperator, run_id=trained, destination=str(there)).result
    assert sorted(result["files"]) == ["outputs/model/deep/empty", "outputs/model/factor", "outputs/report.txt"]
    assert (there / "outputs/model/factor").read_text() == "3"
    assert (there / "outputs/model/deep/empty").read_bytes() == b""
    fields = {"run_id": trained, "destination": str(tmp_path / "part"), "artifact_path": "outputs/report.txt"}
    assert airflow.run(AzureMLDownloadRunOutputsOperator, **fields).result["files"] == ["outputs/report.txt"]


def test_outputs_are_downloaded_to_object_storage(airflow, trained, tmp_path):
    """Any URL that ObjectStoragePath knows, as text or as such a path."""
    url = f"file://{tmp_path}/bucket"
    for destination in (url, ObjectStoragePath(url)):
        fields = {"run_id": trained, "destination": destination, "artifact_path": "outputs/model"}
        assert len(airflow.run(AzureMLDownloadRunOutputsOperator, **fields).result["files"]) == 2
    assert (ObjectStoragePath(url) / "outputs/model/factor").read_text() == "3"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"destination": "here"}, "destination 'here': must be an absolute path"),
        ({"artifact_path": "outputs/modle"}, "artifact_path 'outputs/modle': is not in the files of run"),
    ],
)
def test_a_download_that_cannot_be(airflow, trained, tmp_path, fields, text):
    """The task fails at once and says what is wrong."""
    given = {"run_id": trained, "destination": str(tmp_path), "retries": 2, **fields}
    outcome = airflow.run(AzureMLDownloadRunOutputsOperator, **given)
    assert isinstance(outcome.error, AirflowFailException)
    assert text in str(outcome.error)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_tags_of_a_model_are_set(airflow, emulator, model, monkeypatch, api):
    """Others stay; the description too, unless one is given. Both registries."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(api=api))
    fields = {"model_name": model, "model_version": 1, "tags": {"approved_by": "{{ dag.dag_id }}"}}
    result = airflow.run(AzureMLSetModelTagsOperator, **fields).result
    assert result["tags"] == {"stage": "test", "approved_by": "shop"}
    properties = emulator.arm("GET", f"/models/{model}/versions/1").json()["properties"]
    assert properties["tags"] == result["tags"]
    fields = {"model_name": model, "model_version": "1", "tags": {"stage": "prod"}, "description": "best"}
    assert airflow.run(AzureMLSetModelTagsOperator, **fields).result["tags"]["stage"] == "prod"
    assert emulator.arm("GET", f"/models/{model}/versions/1").json()["properties"]["description"] == "best"


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_all_versions_of_a_model_are_deleted(airflow, emulator, model, monkeypatch, api):
    """Only with `all_versions=True`; again is fine, and says that there was nothing."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(api=api))
    fields = {"model_name": model, "all_versions": True}
    results = [airflow.run(AzureMLDeleteModelOperator, **fields).result for _ in range(2)]
    assert [result["deleted_versions"] for result in results] == [["2", "1"], []]


def test_a_version_that_renders_to_nothing_deletes_nothing(airflow, emulator, model):
    """A template of an XCom that is not there must not mean every version, and neither may None."""
    for version in ("", "{{ none }}", None):
        outcome = airflow.run(AzureMLDeleteModelOperator, model_name=model, model_version=version)
        assert isinstance(outcome.error, AirflowFailException)
    assert len(emulator.arm("GET", f"/models/{model}/versions").json()["value"]) == 2


def test_computes_models_and_endpoints_are_waited_for(airflow, emulator, trained, instance):
    """What does not exist yet is no failure; the wait ends when it is there, with its facts."""
    slow = {"poke_interval": 0.2, "deferrable": True}
    name = airflow.run_id.replace("manual__", "w-")
    waits = {
        "compute": airflow.run(AzureMLWaitForComputeSensor, task_id="c", compute_name=name, **slow),
        "model": airflow.run(AzureMLWaitForModelSensor, task_id="m", model_name=name, **slow),
        "version": airflow.run(AzureMLWaitForModelSensor, task_id="v", model_name=name, model_version="2", **slow),
        "endpoint": airflow.run(AzureMLWaitForOnlineEndpointSensor, task_id="e", endpoint_name=name, **slow),
        "stopped": airflow.run(
            AzureMLWaitForComputeSensor, task_id="s", compute_name=instance, state="stopped", **slow
        ),
    }
    assert {wait.state for wait in waits.values()} == {"deferred"}
    spec = {"vmSize": "STANDARD_DS1_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
    body = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": spec}}
    emulator.arm("PUT", f"/computes/{name}", json=body).raise_for_status()
    emulator.arm("PUT", f"/onlineEndpoints/{name}", json={"location": "eastus", "properties": {"authMode": "Key"}})
    for task_id in ("first", "second"):
        assert airflow.run(AzureMLRegisterModelOperator, task_id=task_id, model_name=name, run_id=trained).result
    emulator.arm("POST", f"/computes/{instance}/stop").raise_for_status()
    results = {what: airflow.finish(wait).result for what, wait in waits.items()}
    assert (results["compute"]["compute_name"], results["compute"]["provisioning_state"]) == (name, "Succeeded")
    assert results["model"]["model_version"] == results["version"]["model_version"] == "2"
    assert results["endpoint"]["scoring_uri"]
    assert results["stopped"]["state"] == "Stopped"
    poked = airflow.run(AzureMLWaitForModelSensor, task_id="p", model_name=name, model_version="1", poke_interval=0.2)
    assert poked.result["run_id"] == trained


def test_a_state_that_no_compute_has(airflow_offline):
    """Said before anything is sent."""
    outcome = airflow_offline.run(AzureMLWaitForComputeSensor, compute_name="cpu", state="asleep")
    assert "must be one of provisioned, running, stopped" in str(outcome.error)
