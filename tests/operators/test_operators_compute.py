"""Computes, made and deleted by tasks on a real emulator."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator

FIELDS = {"vm_size": "STANDARD_DS3_V2", "max_nodes": 2, "poll_interval": 0.2}


@pytest.fixture
def name(airflow):
    """A compute name that no other test has."""
    return airflow.run_id.replace("manual__", "c-")


def settings(emulator, name):
    return emulator.arm("GET", f"/computes/{name}").json()["properties"]["properties"]["scaleSettings"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_compute_is_made_and_deleted(airflow, emulator, name, deferrable):
    """It is there when the task succeeds, told about in plain JSON, and gone when its deletion succeeds."""
    fields = {**FIELDS, "compute_name": name, "deferrable": deferrable}
    made = airflow.finish(airflow.run(AzureMLCreateComputeOperator, task_id="make", **fields)).result
    assert made.pop("studio_url").startswith(f"https://ml.azure.com/compute/{name}/details?wsid=/subscriptions/")
    assert made == {
        "compute_name": name,
        "provisioning_state": "Succeeded",
        "state": "Steady",
        "vm_size": "STANDARD_DS3_V2",
        "current_nodes": 0,
        "scale_settings": {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT120S"},
    }
    fields = {"compute_name": name, "poll_interval": 0.2, "deferrable": deferrable}
    gone = airflow.finish(airflow.run(AzureMLDeleteComputeOperator, task_id="delete", **fields)).result
    assert gone["compute_name"] == name
    assert emulator.arm("GET", f"/computes/{name}").status_code == 404


def test_a_compute_is_made_once_updated_in_place_and_never_replaced(airflow, emulator, name):
    """The same task again changes nothing, other scale settings are updated, another VM size is refused at once."""
    fields = {**FIELDS, "compute_name": name}
    airflow.run(AzureMLCreateComputeOperator, **fields)
    created = emulator.arm("GET", f"/computes/{name}").json()["properties"]["createdOn"]
    assert airflow.run(AzureMLCreateComputeOperator, **fields).result["scale_settings"]["maxNodeCount"] == 2
    larger = {**fields, "max_nodes": "{{ 2 + 3 }}", "idle_time_before_scale_down": "PT5M"}
    assert airflow.run(AzureMLCreateComputeOperator, **larger).result["scale_settings"]["maxNodeCount"] == 5
    assert settings(emulator, name)["nodeIdleTimeBeforeScaleDown"] == "PT300S"
    refused = airflow.run(AzureMLCreateComputeOperator, retries=2, **{**fields, "vm_size": "STANDARD_NC6"})
    assert (refused.state, type(refused.error)) == ("failed", AirflowFailException)
    assert "VM size STANDARD_DS3_V2, not STANDARD_NC6" in str(refused.error)
    assert emulator.arm("GET", f"/computes/{name}").json()["properties"]["createdOn"] == created


def test_a_spec_file_beside_the_dag_is_rendered_and_sent(airflow, emulator, name, tmp_path):
    """Further properties of AmlCompute may stand in a file, with templates."""
    (tmp_path / "compute.yml").write_text("remoteLoginPortPublicAccess: '{{ params.access }}'\n")
    airflow.params["access"] = "Disabled"
    outcome = airflow.run(AzureMLCreateComputeOperator, compute_name=name, spec="compute.yml", **FIELDS)
    assert outcome.state == "success", outcome.error
    inner = emulator.arm("GET", f"/computes/{name}").json()["properties"]["properties"]
    assert inner["remoteLoginPortPublicAccess"] == "Disabled"


def test_deleting_what_is_not_there_is_fine(airflow, name):
    """A clean-up may run twice, or after a set-up that failed."""
    assert airflow.run(AzureMLDeleteComputeOperator, compute_name=name).result["compute_name"] == name


def test_a_set_up_that_nobody_waits_for(airflow, emulator, name):
    """wait_for_completion=False succeeds as soon as the service has accepted, deferrable or not."""
    outcome = airflow.run(
        AzureMLCreateComputeOperator, compute_name=name, wait_for_completion=False, deferrable=True, **FIELDS
    )
    assert outcome.result["compute_name"] == name
    assert outcome.xcom["azureml_studio_link"] == outcome.result["studio_url"]
    assert emulator.arm("GET", f"/computes/{name}").status_code == 200
