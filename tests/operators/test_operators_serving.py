"""From a run's outputs to a score: models, endpoints and deployments, made and deleted by tasks on a real emulator."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_azml.client.transport.errors import OperationFailedError
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.operators.deployment import (
    AzureMLCreateOnlineDeploymentOperator,
    AzureMLDeleteOnlineDeploymentOperator,
)
from airflow_azml.operators.endpoint import (
    AzureMLCreateOnlineEndpointOperator,
    AzureMLDeleteOnlineEndpointOperator,
    AzureMLScoreOperator,
    AzureMLSetOnlineTrafficOperator,
)
from airflow_azml.operators.model import (
    AzureMLArchiveModelOperator,
    AzureMLDeleteModelOperator,
    AzureMLRegisterModelOperator,
)
from airflow_azml.operators.run import AzureMLStartRunOperator

TRAINS = """
import pathlib
pathlib.Path("outputs/model").mkdir(parents=True)
pathlib.Path("outputs/model/factor").write_text("3")
"""
SCORES = """
import json, os, pathlib

def init():
    global factor
    factor = int(next(pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("factor")).read_text())

def run(data):
    numbers = json.loads(data)["numbers"]
    return {"times": [factor * number for number in numbers], "greeting": os.environ.get("GREETING")}
"""
QUICK = {"poll_interval": 0.2}


@pytest.fixture
def trained(airflow, cpu, project):
    """The id of a run that has written outputs/model."""
    return airflow.run(AzureMLStartRunOperator, task_id="train", compute_name=cpu, **project(TRAINS)).result["run_id"]


@pytest.fixture
def register(airflow, trained):
    """Register the trained model as one try of one task."""

    def register(**fields):
        fields = {"model_name": "factor", "run_id": trained, "task_id": "register", **fields}
        return airflow.run(AzureMLRegisterModelOperator, **fields)

    return register


@pytest.fixture
def endpoint(airflow):
    """An endpoint of the test's own."""
    name = airflow.run_id.replace("manual__", "e-")
    airflow.run(AzureMLCreateOnlineEndpointOperator, task_id="endpoint", endpoint_name=name, **QUICK)
    yield name
    airflow.run(AzureMLDeleteOnlineEndpointOperator, task_id="bye", endpoint_name=name, **QUICK)


@pytest.fixture
def deploy(airflow, endpoint, tmp_path):
    """Deploy a scoring script as one try of one task."""

    def deploy(version, script=SCORES, **fields):
        (tmp_path / "score").mkdir(exist_ok=True)
        (tmp_path / "score" / "score.py").write_text(script)
        given = {
            "endpoint_name": endpoint,
            "deployment_name": "blue",
            "model_name": "factor",
            "model_version": version,
            "source_directory": "score",
            "environment": {"image": "python"},
            "instance_type": "Standard_DS3_v2",
            "task_id": "deploy",
            **QUICK,
        }
        return airflow.finish(airflow.run(AzureMLCreateOnlineDeploymentOperator, **{**given, **fields}))

    return deploy


def versions(emulator, name):
    return [row["name"] for row in emulator.arm("GET", f"/models/{name}/versions").json()["value"]]


def test_a_model_is_registered_once_however_often_its_task_is_tried(airflow, register, emulator, trained):
    """A retry finds the version of the first try; a cleared task registers a new one; deleting twice is fine."""
    name = airflow.run_id.replace("manual__", "m-")
    first = register(model_name=name, retries=1, tags={"trained_by": "{{ ti.task_id }}"}).result
    assert (first["model_name"], first["model_version"], first["run_id"]) == (name, "1", trained)
    assert first["model_id"].endswith(f"/workspaces/local/models/{name}/versions/1")
    assert first["studio_url"].startswith(f"https://ml.azure.com/model/{name}:1/details?wsid=")
    assert register(model_name=name, retries=1, try_number=2).result["model_version"] == "1"
    assert register(model_name=name, retries=1, try_number=2, max_tries=2).result["model_version"] == "2"
    properties = emulator.arm("GET", f"/models/{name}/versions/1").json()["properties"]
    assert (properties["tags"], properties["modelType"]) == ({"trained_by": "register"}, "custom_model")
    delete = {"model_name": name, "model_version": 1, "task_id": "delete"}
    deleted = [airflow.run(AzureMLDeleteModelOperator, **delete).result["deleted"] for _ in range(2)]
    assert (deleted, versions(emulator, name)) == ([True, False], ["2"])


def test_the_classic_registry_takes_a_model_too(airflow, register, emulator, monkeypatch):
    """A connection with api v1 registers through model management; both generations show the same model."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(api="v1"))
    name = airflow.run_id.replace("manual__", "m-")
    assert [register(model_name=name).result["model_version"] for _ in range(2)] == ["1", "1"]
    assert versions(emulator, name) == ["1"]


def test_a_path_that_is_not_in_the_outputs_is_answered_with_what_is(register):
    """The message lists the run's files."""
    outcome = register(model_path="outputs/modle", retries=2)
    assert (outcome.state, type(outcome.error)) == ("failed", AirflowFailException)
    assert "path 'outputs/modle': is not in the outputs of run " in str(outcome.error)
    assert "there is: outputs/model/factor" in str(outcome.error)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_model_is_deployed_given_traffic_scored_and_taken_down(airflow, register, deploy, endpoint, deferrable):
    """The whole way, through the operators alone; each says in plain JSON what has come of it."""
    quick = {**QUICK, "deferrable": deferrable, "endpoint_name": endpoint}
    version = register().result["model_version"]
    deployed = deploy(version, environment_variables={"GREETING": "{{ dag.dag_id }}"}, deferrable=deferrable).result
    assert (deployed["deployment_name"], deployed["provisioning_state"]) == ("blue", "Succeeded")
    assert deployed["model_id"].endswith(f"/models/factor/versions/{version}")
    traffic = airflow.run(AzureMLSetOnlineTrafficOperator, task_id="t", traffic={"blue": "{{ 100 }}"}, **quick)
    shared = airflow.finish(traffic).result
    assert (shared["traffic"], shared["scoring_uri"]) == ({"blue": 100}, deployed["scoring_uri"])
    data = {"numbers": [1, 2]}
    for deployment_name in (None, "blue"):
        scored = airflow.run(
            AzureMLScoreOperator, task_id="s", endpoint_name=endpoint, data=data, deployment_name=deployment_name
        )
        assert scored.result["answer"] == {"times": [3, 6], "greeting": "shop"}
    airflow.finish(airflow.run(AzureMLSetOnlineTrafficOperator, task_id="u", traffic={"blue": 0}, **quick))
    delete = AzureMLDeleteOnlineDeploymentOperator
    for _ in range(2):
        gone = airflow.finish(airflow.run(delete, task_id="d", deployment_name="blue", **quick))
        assert gone.result["deployment_name"] == "blue"
    gone = airflow.finish(airflow.run(AzureMLDeleteOnlineEndpointOperator, task_id="e", **quick))
    assert gone.result["endpoint_name"] == endpoint


def test_files_beside_the_dag_and_in_a_datastore_are_registered_and_deployed_as_the_latest(
    airflow, register, deploy, emulator, tmp_path
):
    """Each source makes the next version, once; `latest` deploys the last one; an archived one is left out."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "factor").write_text("7")
    name = airflow.run_id.replace("manual__", "m-")
    local = {"model_name": name, "run_id": None, "local_path": "weights"}
    assert [register(retries=1, try_number=n, **local).result["model_version"] for n in (1, 2)] == ["1", "1"]
    uri = emulator.arm("GET", f"/models/{name}/versions/1").json()["properties"]["modelUri"]
    stored = "azureml://datastores/" + uri.partition("/datastores/")[2]
    made = register(model_name=name, run_id=None, datastore_path=stored, task_id="again").result
    assert (made["model_version"], made["run_id"]) == ("2", None)
    newest = {"model_name": name, "deployment_name": "blue"}
    assert deploy("latest", **newest).result["model_id"].endswith(f"/models/{name}/versions/2")
    for archived, left in ((True, ["1"]), (False, ["2", "1"])):
        fields = {"model_name": name, "model_version": "2", "archived": archived, "task_id": f"a{archived}"}
        assert airflow.run(AzureMLArchiveModelOperator, **fields).result["model_version"] == "2"
        assert versions(emulator, name) == left
    kept = deploy(None, model_name=None, task_id="kept", environment_variables={"GREETING": "hi"}).result
    assert kept["model_id"].endswith(f"/models/{name}/versions/2")


def deployment_of(emulator, endpoint):
    return emulator.arm("GET", f"/onlineEndpoints/{endpoint}/deployments/blue").json()


def puts_of_deployments():
    sent = AzureMLHook().client.transport.requests
    return sent["create deployment"] + sent["update deployment"]


def test_a_deployment_that_is_as_wanted_is_waited_for_and_not_sent_again(deploy, register, emulator, endpoint):
    """A retry adopts what the first try has made; a later dag run that wants the same sends nothing either."""
    version = register().result["model_version"]
    before = puts_of_deployments()
    assert deploy(version, wait_for_completion=False, retries=1).state == "success"
    assert deploy(version, retries=1, try_number=2).state == "success"
    made = deployment_of(emulator, endpoint)
    assert deploy(version, task_id="another", environment_variables={}).state == "success"
    assert deployment_of(emulator, endpoint) == made
    assert puts_of_deployments() - before == 1


def test_a_deployment_keeps_what_its_task_does_not_name(deploy, register, emulator, endpoint):
    """Machines, variables, timeouts, tags that others have set survive a change of something else."""
    spec = {"tags": {"team": "shop", "cost": 7}, "properties": {"requestSettings": {"requestTimeout": "PT20S"}}}
    version = register().result["model_version"]
    first = {"environment_variables": {"A": 1, "B": True}, "instance_count": 2, "spec": spec}
    assert deploy(version, **first).state == "success"
    assert deploy(version, environment_variables={"C": "3"}, spec={"tags": {"more": "1"}}).state == "success"
    there = deployment_of(emulator, endpoint)
    assert there["tags"] == {"team": "shop", "cost": "7", "more": "1"}
    assert there["sku"]["capacity"] == 2
    assert there["properties"]["environmentVariables"] == {"A": "1", "B": "True", "C": "3"}
    assert there["properties"]["requestSettings"]["requestTimeout"] == "PT20S"
    before = puts_of_deployments()
    refused = deploy(version, instance_type="Standard_F4s_v2", retries=2)
    assert isinstance(refused.error, AirflowFailException), refused
    assert "properties.instanceType is 'Standard_DS3_v2', not 'Standard_F4s_v2'" in str(refused.error)
    nested = deploy(version, environment_variables={"A": {"b": "c"}}, retries=2)
    assert "environment_variables.A {'b': 'c'}: must be text" in str(nested.error)
    assert puts_of_deployments() == before


def test_code_and_environment_are_uploaded_once_for_the_same_content(deploy, register):
    """Two deployments of the same folder and packages refer to the same assets."""
    version = register().result["model_version"]
    assert deploy(version, deployment_name="blue").state == "success"
    sent = AzureMLHook().client.transport.requests
    before = {name: sent[name] for name in ("create code", "upload code", "create environment")}
    assert deploy(version, deployment_name="green", task_id="other").state == "success"
    assert {name: sent[name] for name in before} == before


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_scoring_script_that_cannot_start_is_explained_by_its_container(deploy, register, deferrable):
    """The exception holds the traceback of init()."""
    version = register().result["model_version"]
    broken = "def init():\n    raise KeyError('the model is not there')\n\ndef run(data):\n    return data\n"
    outcome = deploy(version, broken, deferrable=deferrable)
    assert isinstance(outcome.error, OperationFailedError), outcome
    assert "KeyError: 'the model is not there'" in str(outcome.error)


def test_an_exception_of_the_scoring_script_fails_the_task_with_its_message(airflow, register, deploy, endpoint):
    """The service says only that there was an error; the end of the container's log says which."""
    deploy(register().result["model_version"])
    airflow.run(AzureMLSetOnlineTrafficOperator, task_id="t", endpoint_name=endpoint, traffic={"blue": 100}, **QUICK)
    outcome = airflow.run(AzureMLScoreOperator, task_id="s", endpoint_name=endpoint, data={"wrong": 1})
    assert outcome.state == "failed"
    said = str(outcome.error)
    assert "score failed (HTTP 424): the model answered 500: " in said
    assert "Log of deployment blue:" in said
    assert "KeyError: 'numbers'" in said


def test_an_endpoint_is_updated_in_place(airflow, emulator, endpoint, register, deploy):
    """Creating an endpoint that is there adds the new tags; it goes on serving, and keeps all that is not named."""

    def create(**fields):
        return airflow.run(
            AzureMLCreateOnlineEndpointOperator, task_id="endpoint", endpoint_name=endpoint, **fields, **QUICK
        )

    def shown():
        return emulator.arm("GET", f"/onlineEndpoints/{endpoint}").json()

    deploy(register().result["model_version"])
    spec = {"properties": {"description": "prices", "publicNetworkAccess": "Disabled"}}
    create(tags={"owner": "ann"}, spec=spec)
    airflow.run(AzureMLSetOnlineTrafficOperator, task_id="t", endpoint_name=endpoint, traffic={"blue": 100}, **QUICK)
    outcome = create(tags={"team": "{{ dag.dag_id }}", "cost": 7})
    assert (outcome.result["provisioning_state"], outcome.result["traffic"]) == ("Succeeded", {"blue": 100})
    there = shown()
    assert there["tags"] == {"owner": "ann", "team": "shop", "cost": "7"}
    assert there["properties"]["description"] == "prices"
    assert there["properties"]["publicNetworkAccess"] == "Disabled"
    scored = airflow.run(AzureMLScoreOperator, task_id="s", endpoint_name=endpoint, data={"numbers": [1]})
    assert scored.result["answer"]["times"] == [3]
    sent = AzureMLHook().client.transport.requests["update endpoint"]
    create()
    create(tags={"owner": "ann"}, auth_mode="key")
    assert AzureMLHook().client.transport.requests["update endpoint"] == sent
    assert shown() == there
