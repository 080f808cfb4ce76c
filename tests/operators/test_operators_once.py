"""Every operator that creates: killed when its request had done its work, and tried again, there is one object."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.operators.compute import AzureMLCreateComputeOperator
from airflow_azml.operators.deployment import AzureMLCreateOnlineDeploymentOperator
from airflow_azml.operators.endpoint import AzureMLCreateOnlineEndpointOperator, AzureMLDeleteOnlineEndpointOperator
from airflow_azml.operators.model import AzureMLRegisterModelOperator
from airflow_azml.operators.run import AzureMLStartRunOperator

TRAINS = "import pathlib\npathlib.Path('outputs/factor').write_text('3')\n"
SCORES = "def init():\n    pass\n\ndef run(data):\n    return data\n"
LONG = 600  # seconds


@pytest.fixture
def name():
    """A name that no other test has."""
    return f"n-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def killed_and_tried_again(airflow, emulator):
    """Let a task die while it waits for the answer to its request; return what its next try tells."""

    def killed_and_tried_again(operator, method, path, deferrable, **fields):
        fault = {"method": method, "path": path, "delay": LONG, "afterWork": True}
        emulator.control("POST", "faults", json=fault).raise_for_status()
        fields |= {"retries": 1, "task_id": "create"}
        killed = airflow.run(operator, execution_timeout=timedelta(seconds=4), **fields)
        assert isinstance(killed.error, AirflowTaskTimeout), killed.error
        waits = {"deferrable": deferrable, "poll_interval": 0.2} if deferrable is not None else {}
        return airflow.finish(airflow.run(operator, try_number=2, **fields, **waits)).result

    return killed_and_tried_again


def times(operation):
    """Return how often the client has sent such a request."""
    return AzureMLHook().client.transport.requests[operation]


@pytest.fixture
def trained(airflow, cpu, project):
    """The id of a run with outputs."""
    return airflow.run(AzureMLStartRunOperator, compute_name=cpu, **project(TRAINS)).result["run_id"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_compute(killed_and_tried_again, name, deferrable):
    """The next try waits for the compute that is there; it is not put a second time."""
    fields = {"compute_name": name, "vm_size": "STANDARD_DS3_V2", "max_nodes": 1}
    before = times("create compute")
    made = killed_and_tried_again(AzureMLCreateComputeOperator, "PUT", f"/computes/{name}$", deferrable, **fields)
    assert (made["compute_name"], made["provisioning_state"]) == (name, "Succeeded")
    assert times("create compute") - before == 1


@pytest.mark.parametrize(("api", "method"), [("v2", "PUT"), ("v1", "POST")])
def test_a_model(killed_and_tried_again, emulator, monkeypatch, name, trained, api, method):
    """There is one version, in both generations of the API: with v1 it is the service that numbers them."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(api=api))
    path = f"/models/{name}/versions/" if api == "v2" else "/modelmanagement/.*/models$"
    fields = {"model_name": name, "run_id": trained, "model_path": "outputs/factor"}
    made = killed_and_tried_again(AzureMLRegisterModelOperator, method, path, None, **fields)
    assert made["model_version"] == "1"
    versions = emulator.arm("GET", f"/models/{name}/versions").json()["value"]
    assert [version["name"] for version in versions] == ["1"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_endpoint_and_a_deployment(airflow, killed_and_tried_again, emulator, name, trained, tmp_path, deferrable):
    """The next try waits for the one that is there, or puts the same again in its place."""
    path = f"/onlineEndpoints/{name}"
    create = AzureMLCreateOnlineEndpointOperator
    made = killed_and_tried_again(create, "PUT", f"{path}$", deferrable, endpoint_name=name)
    assert (made["endpoint_name"], made["provisioning_state"]) == (name, "Succeeded")
    source = {"run_id": trained, "model_path": "outputs/factor"}
    model = airflow.run(AzureMLRegisterModelOperator, model_name=name, task_id="register", **source).result
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "score.py").write_text(SCORES)
    fields = {
        "endpoint_name": name,
        "deployment_name": "blue",
        "model_name": name,
        "model_version": model["model_version"],
        "source_directory": "score",
        "environment": {"image": "python"},
        "instance_type": "Standard_DS3_v2",
    }
    before = times("create deployment")
    deploy = AzureMLCreateOnlineDeploymentOperator
    made = killed_and_tried_again(deploy, "PUT", f"{path}/deployments/blue$", deferrable, **fields)
    assert (made["deployment_name"], made["provisioning_state"]) == ("blue", "Succeeded")
    assert times("create deployment") - before == 1
    assert len(emulator.arm("GET", f"{path}/deployments").json()["value"]) == 1
    airflow.run(AzureMLDeleteOnlineEndpointOperator, task_id="bye", endpoint_name=name, poll_interval=0.2)
