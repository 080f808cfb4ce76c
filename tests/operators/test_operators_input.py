"""Bad input: a clear error before anything is sent or spent. `airflow_offline` proves the "nothing is sent"."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
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
from airflow_azml.operators.model import AzureMLDeleteModelOperator, AzureMLRegisterModelOperator
from airflow_azml.operators.run import AzureMLCancelRunOperator, AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

DEFINITION = {"script": "train.py"}


def refused(outcome):
    """Return what the task said when it failed at once, without a retry that could not help."""
    assert outcome.state == "failed", outcome.result
    assert isinstance(outcome.error, AirflowFailException), repr(outcome.error)
    return str(outcome.error)


@pytest.fixture
def start(airflow_offline, tmp_path):
    """Start a run of the folder `train` with what a test gives, and return what was said."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "train.py").write_text("print(1)")

    def start(**fields):
        fields = {
            "experiment_name": "exp",
            "source_directory": "train",
            "compute_name": "cpu",
            "run_definition": DEFINITION,
            **fields,
        }
        return refused(airflow_offline.run(AzureMLStartRunOperator, retries=2, **fields))

    return start


# --- the connection ---


def test_all_missing_fields_of_a_connection_are_said_at_once(airflow_offline, monkeypatch):
    """A person fills in the form once, not field by field."""
    bare = {"conn_type": "azureml", "login": "me"}
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(bare))
        said = refused(airflow_offline.run(AzureMLDeleteComputeOperator, compute_name="cpu"))
    missing = ("subscription_id", "resource_group", "workspace_name", "tenant_id", "password (client secret)")
    assert [name for name in missing if f"'{name}'" not in said] == []
    assert "login" not in said
    assert said.startswith("connection 'azureml_default': ")
    assert "Admin > Connections" in said


def test_a_wrong_secret_ends_with_the_token_endpoints_reason(airflow, emulator, monkeypatch):
    """The reason is Entra ID's, the remedy ours, the secret nowhere."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(password="n0t-the-secret"))
    said = refused(airflow.run(AzureMLDeleteComputeOperator, compute_name="cpu"))
    assert "invalid_client: AADSTS7000215" in said
    assert "give the secret's value, not its id" in said
    assert "n0t-the-secret" not in said


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (AzureMLCreateComputeOperator, {"compute_name": "cpu"}),
        (AzureMLDeleteComputeOperator, {"compute_name": "cpu"}),
        (AzureMLWaitForRunSensor, {"run_id": "r1"}),
        (AzureMLCancelRunOperator, {"run_id": "r1"}),
        (AzureMLRegisterModelOperator, {"model_name": "m", "run_id": "r1"}),
        (AzureMLDeleteModelOperator, {"model_name": "m", "model_version": "1"}),
        (AzureMLDeleteOnlineEndpointOperator, {"endpoint_name": "shop"}),
        (AzureMLDeleteOnlineDeploymentOperator, {"endpoint_name": "shop", "deployment_name": "blue"}),
    ],
)
def test_a_workspace_that_is_not_there_is_named(airflow, emulator, monkeypatch, operator, fields):
    """Subscription, group and workspace are in the message, for the typo is in one of them.

    Above all a clean-up must not pass for done, because a wrong workspace has nothing to clean up.
    """
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(workspace_name="locla"))
    said = refused(airflow.run(operator, **fields))
    assert "workspace 'locla' in resource group 'local' of subscription '00000000-" in said
    assert "Check subscription, resource group and workspace name" in said


def test_forbidden_says_which_role_is_needed(airflow, monkeypatch):
    """403 fails the task at once and tells what to ask the administrator for."""

    class Forbidding(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"error": {"code": "AuthorizationFailed", "message": "The client may not read."}})
            self.send_response(403)
            self.end_headers()
            self.wfile.write(body.encode())

    with HTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        extra = {"cloud": "Custom", "authority_url": url, "resource_manager_url": url, "token": "a-static-token"}
        names = dict.fromkeys(("subscription_id", "resource_group", "workspace_name"), "x")
        connection = {"conn_type": "azureml", "extra": {**extra, **names}}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        said = refused(airflow.run(AzureMLCreateComputeOperator, compute_name="cpu", retries=3))
        server.shutdown()
    assert "get compute failed (HTTP 403): AuthorizationFailed: The client may not read." in said
    assert "'AzureML Compute Operator'" in said


# --- names and numbers ---


@pytest.mark.parametrize(
    ("operator", "fields", "said"),
    [
        (AzureMLCreateComputeOperator, {"compute_name": "1cpu"}, "compute_name '1cpu': must be 2 to 32 letters"),
        (AzureMLDeleteComputeOperator, {"compute_name": ""}, "compute_name '': must be"),
        (AzureMLCancelRunOperator, {"run_id": "no/run"}, "run_id 'no/run': must be 1 to 256"),
        (AzureMLWaitForRunSensor, {"run_id": ""}, "run_id '': must be"),
        (AzureMLRegisterModelOperator, {"model_name": "m!", "run_id": "r"}, "model_name 'm!': must be"),
        (AzureMLRegisterModelOperator, {"model_name": "m", "run_id": ""}, "run_id '': must be"),
        (
            AzureMLRegisterModelOperator,
            {"model_name": "m", "run_id": "r", "model_path": "../x"},
            "path '../x': must be a path below the run, such as outputs/model",
        ),
        (AzureMLDeleteModelOperator, {"model_name": "m", "model_version": ""}, "model_version '': must be"),
        (AzureMLCreateOnlineEndpointOperator, {"endpoint_name": "e_1"}, "endpoint_name 'e_1': must be 3 to 32"),
        (AzureMLDeleteOnlineEndpointOperator, {"endpoint_name": ""}, "endpoint_name '': must be"),
        (AzureMLScoreOperator, {"endpoint_name": "", "data": {}}, "endpoint_name '': must be"),
        (
            AzureMLDeleteOnlineDeploymentOperator,
            {"endpoint_name": "shop", "deployment_name": "x"},
            "deployment_name 'x': must be 3 to 32",
        ),
        (
            AzureMLSetOnlineTrafficOperator,
            {"endpoint_name": "shop", "traffic": {"blue": 60, "green": 50}},
            "traffic {'blue': 60, 'green': 50}: must be whole percents from 0 to 100 that add up to 100",
        ),
        (
            AzureMLSetOnlineTrafficOperator,
            {"endpoint_name": "shop", "traffic": {"blue": "all"}},
            "traffic of blue 'all': must be a whole number",
        ),
        (
            AzureMLSetOnlineTrafficOperator,
            {"endpoint_name": "shop", "traffic": "{{ {'blue': 100} }}"},
            "traffic \"{'blue': 100}\": must be a mapping, not str",
        ),
        (AzureMLSetOnlineTrafficOperator, {"endpoint_name": "shop", "traffic": None}, "traffic: must be a mapping"),
        (
            AzureMLCreateOnlineEndpointOperator,
            {"endpoint_name": "shop", "spec": {"tags": "red"}},
            "spec.tags 'red': must be a mapping, not str",
        ),
        (
            AzureMLCreateOnlineEndpointOperator,
            {"endpoint_name": "e_1", "spec": {"tags": None, "properties": None}},  # empty is none: the name is next
            "endpoint_name 'e_1': must be",
        ),
        (
            AzureMLCreateOnlineDeploymentOperator,
            {
                "endpoint_name": "shop",
                "deployment_name": "blue",
                "model_name": "m",
                "model_version": "1",
                "spec": {"tags": "red"},
            },
            "spec.tags 'red': must be a mapping, not str",
        ),
        (AzureMLCreateComputeOperator, {"compute_name": "cpu", "max_nodes": "none"}, "max_nodes 'none': must be"),
    ],
)
def test_a_bad_value_is_named_with_its_rule(airflow_offline, operator, fields, said):
    """Field, value and rule; nothing is sent, and no retry is spent on it."""
    assert said in refused(airflow_offline.run(operator, retries=2, **fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"deployment_name": "b"}, "deployment_name 'b': must be"),
        ({"model_version": ""}, "model_version '': must be a version"),
        ({"instance_count": 0}, "instance_count 0: must be a whole number, 1 or more"),
        ({"source_directory": "nowhere"}, "nowhere': does not exist"),
        ({"source_directory": ".", "scoring_script": "scroe.py"}, "did you mean score.py?"),
        ({"environment": "sklearn"}, "environment 'sklearn': must be name:version, an ARM id, or a dict"),
        ({"environment": {"conda_file": {}}}, "needs an image"),
        ({"environment": {"image": "x", "conda_file": "conda.yml"}}, "environment.conda_file '"),
        ({"spec": "spec.json"}, "spec.json': cannot be read"),
    ],
)
def test_a_bad_deployment_is_refused_before_code_or_environment_are_uploaded(airflow_offline, tmp_path, fields, said):
    """Everything that can be seen here is seen first."""
    (tmp_path / "score.py").write_text("")
    given = {"endpoint_name": "shop", "deployment_name": "blue", "model_name": "m", "model_version": "1", **fields}
    assert said in refused(airflow_offline.run(AzureMLCreateOnlineDeploymentOperator, **given))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "run_id: give one of run_id, local_path, datastore_path; none is given"),
        (
            {"run_id": "r1", "local_path": "m"},
            "run_id 'r1': give one of run_id, local_path, datastore_path; run_id",
        ),
        ({"local_path": "nowhere"}, "nowhere': is neither a file nor a folder"),
        ({"datastore_path": "datastores/a/paths/b"}, "must be azureml://datastores/NAME/paths/PATH"),
        ({"datastore_path": "None"}, "datastore_path 'None': must be azureml://datastores/NAME/paths/PATH"),
    ],
)
def test_a_model_has_one_source_and_it_is_checked_first(airflow_offline, fields, said):
    """What is to be registered is said once; a file that is not there, or no address, is told before a request."""
    outcome = airflow_offline.run(AzureMLRegisterModelOperator, model_name="m", **fields)
    assert said in refused(outcome)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_name": "m"}, "model_version: is required with model_name 'm'; 'latest' is the newest version"),
        ({"model_version": "1"}, "model_name: is required with model_version '1'"),
    ],
)
def test_half_a_model_is_no_model_of_a_deployment(airflow_offline, fields, said):
    """Neither stands for the newest version or for none."""
    given = {"endpoint_name": "shop", "deployment_name": "blue", **fields}
    assert said in refused(airflow_offline.run(AzureMLCreateOnlineDeploymentOperator, **given))


# --- folders ---


def test_an_entry_script_that_is_missing_is_named_with_the_one_that_was_meant(start):
    """A typo is answered with the file that is there."""
    said = start(run_definition={"script": "trian.py"})
    assert "script 'trian.py': is not among the folder's files" in said
    assert "did you mean train.py?" in said


def test_a_folder_without_files_is_refused(start, tmp_path):
    """An ignore file that takes everything leaves nothing to run."""
    (tmp_path / "train" / ".amlignore").write_text("*")
    assert f"folder '{tmp_path / 'train'}': has no files to send" in start()


def test_a_folder_that_is_not_there_is_named_where_it_was_looked_for(start, tmp_path):
    """The path is relative to the DAG file, and shown whole."""
    assert f"folder '{tmp_path / 'trian'}': does not exist" in start(source_directory="trian")


def test_a_folder_that_is_too_large_names_its_largest_file(start, tmp_path):
    """The limit, the size, and what to do about it."""
    (tmp_path / "train" / "weights.bin").write_bytes(bytes(2 * 2**20))
    said = start(max_bytes=2**20)
    assert "has 2.0 MiB, at most 1 MiB can be sent: list others in .amlignore" in said
    assert "weights.bin" in said


def test_a_folder_with_too_many_files_is_refused(start, tmp_path):
    """The service takes a limited number of files."""
    for number in range(3):
        (tmp_path / "train" / f"{number}.txt").write_text("")
    assert "has 4 files, at most 3 can be sent" in start(max_files=3)


# --- definitions ---


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.json", '{\n  "script": "train.py",\n}', "does not parse: line 3: "),
        ("run.yml", "script: train.py\narguments: [1,\n", "does not parse: line 2: "),
        ("run.yml", "- train.py", "must hold an object, not list"),
        ("run.toml", "script = 'train.py'", "must be a .json, .yml or .yaml file"),
    ],
)
def test_a_definition_file_that_does_not_parse_is_named_with_its_line(start, tmp_path, name, text, said):
    """File and line, as an editor would show it."""
    (tmp_path / name).write_text(text)
    assert f"run_definition '{tmp_path / name}': {said}" in start(run_definition=name)


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{ nothing.there }}", "'nothing' is undefined"), ("{% if %}", "does not render: Expected an expression")],
)
def test_a_template_that_does_not_render_is_named_with_its_file(start, tmp_path, template, said):
    """The file and jinja's reason, without a retry."""
    (tmp_path / "run.yml").write_text(f"script: {template}\n")
    answer = start(run_definition="run.yml")
    assert f"run_definition '{tmp_path / 'run.yml'}': does not render: " in answer
    assert said in answer


def test_an_expression_of_azure_ml_is_never_one_of_jinja(start, tmp_path):
    """A job file of `az ml` is named as such: Jinja would only say that 'inputs' is undefined."""
    (tmp_path / "job.yml").write_text("type: command\ncommand: python t.py ${{inputs.x}}\nenvironment: azureml:e:1\n")
    assert "run_definition: this is a command job of Azure ML v2" in start(run_definition="job.yml")
    said = start(run_definition={**DEFINITION, "nodeCount": "${{ inputs.nodes }}"})
    assert "nodeCount '${{ inputs.nodes }}': must be a whole number" in said


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"scrpt": "train.py"}, "run_definition.configuration.scrpt: unknown key; did you mean 'script'?"),
        (
            {**DEFINITION, "environment": {"pyhton": {}}},
            "run_definition.configuration.environment.pyhton: unknown key; did you mean 'python'?",
        ),
        ({**DEFINITION, "framework": "Keras"}, "configuration.framework 'Keras': must be one of Python, PySpark"),
        ({**DEFINITION, "nodeCount": 0}, "configuration.nodeCount 0: must be a whole number above 0"),
        ({"arguments": []}, "configuration.script: is required: the entry script, relative to the folder"),
    ],
)
def test_a_definition_with_a_wrong_key_or_value_is_answered_with_what_was_meant(start, definition, said):
    """The key's whole path, and the nearest key that the service knows."""
    assert said in start(run_definition=definition)


def test_a_run_needs_a_compute(start):
    """Either the operator or the definition's target names it."""
    said = start(compute_name=None)
    assert "compute_name: is required, here or as the run definition's target" in said


@pytest.mark.parametrize("field", ["poll_interval", "timeout", "queue_timeout"])
@pytest.mark.parametrize("value", ["60", -5, 0, float("nan"), float("inf"), True, timedelta(seconds=-1)])
def test_a_span_of_time_that_is_none_is_refused_when_the_dag_is_parsed(field, value):
    """Not only when the run has been paid for."""
    rule = re.escape(f"{field} {value!r}: must be seconds above 0, as a number or a timedelta")
    with pytest.raises(ValueError, match=rule):
        AzureMLStartRunOperator(
            task_id="t", experiment_name="e", source_directory="s", run_definition=DEFINITION, **{field: value}
        )


def test_a_span_of_time_may_be_a_timedelta():
    """As Airflow's own are."""
    compute = AzureMLCreateComputeOperator(task_id="t", compute_name="cpu", timeout=timedelta(minutes=2))
    assert compute.timeout == 120
