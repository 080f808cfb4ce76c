"""A value stands in one place: what a spec and a parameter say differently is refused, with both values named."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException
from operator_classes import valid

from airflow_azml.operators.compute import AzureMLCreateComputeOperator
from airflow_azml.operators.deployment import AzureMLCreateOnlineDeploymentOperator
from airflow_azml.operators.endpoint import AzureMLCreateOnlineEndpointOperator
from airflow_azml.operators.run import AzureMLStartRunOperator

DEFINITION = {"script": "train.py"}


@pytest.mark.parametrize(
    ("operator", "fields", "said"),
    [
        (
            AzureMLCreateOnlineEndpointOperator,
            {"auth_mode": "Key", "spec": {"properties": {"authMode": "AADToken"}}},
            "auth_mode 'Key': is not what spec.properties.authMode says ('AADToken')",
        ),
        (
            AzureMLCreateOnlineEndpointOperator,
            {"tags": {"team": "a"}, "spec": {"tags": {"team": "b"}}},
            "tags.team 'a': is not what spec.tags.team says ('b')",
        ),
        (
            AzureMLCreateOnlineDeploymentOperator,
            {"instance_type": "S1", "spec": {"properties": {"instanceType": "S2"}}},
            "instance_type 'S1': is not what spec.properties.instanceType says ('S2')",
        ),
        (
            AzureMLCreateOnlineDeploymentOperator,
            {"instance_count": 2, "spec": {"sku": {"capacity": 3}}},
            "instance_count 2: is not what spec.sku.capacity says (3)",
        ),
        (
            AzureMLCreateComputeOperator,
            {"vm_size": "S1", "spec": {"vmSize": "S2"}},
            "spec.vmSize 'S2': is said by vm_size, not here",
        ),
        (
            AzureMLStartRunOperator,
            {"compute_name": "cpu", "run_definition": {**DEFINITION, "target": "gpu"}},
            "compute_name 'cpu': is not what run_definition.target says ('gpu')",
        ),
        (
            AzureMLStartRunOperator,
            {"arguments": ["1"], "run_definition": {"Configuration": {**DEFINITION, "Arguments": ["2"]}}},
            "arguments ['1']: is not what run_definition.Arguments says (['2'])",
        ),
        (
            AzureMLStartRunOperator,
            {"environment_variables": {"A": "1"}, "run_definition": {**DEFINITION, "environmentVariables": {"A": "2"}}},
            "environment_variables.A '1': is not what run_definition.environmentVariables.A says ('2')",
        ),
        (
            AzureMLStartRunOperator,
            {"command": "python a.py", "run_definition": DEFINITION},
            "command 'python a.py': cannot stand beside run_definition.script ('train.py')",
        ),
    ],
)
def test_what_is_said_twice_and_differently_is_refused(airflow_offline, operator, fields, said):
    """Neither of the two wins silently, and nothing is sent."""
    outcome = airflow_offline.run(operator, retries=2, **{**valid(operator), **fields})
    assert isinstance(outcome.error, AirflowFailException), repr(outcome.error)
    assert said in str(outcome.error)


def test_tags_of_the_provider_cannot_be_set(airflow_offline, tmp_path):
    """They say whose the run is."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "train.py").write_text("print(1)")
    fields = {"compute_name": "cpu", "run_definition": DEFINITION, "tags": {"airflow_dag_id": "x"}}
    outcome = airflow_offline.run(AzureMLStartRunOperator, **{**valid(AzureMLStartRunOperator), **fields})
    assert "tags ['airflow_dag_id']: are set by the provider itself" in str(outcome.error)


def test_a_run_gets_what_stands_beside_its_definition(airflow, cpu, project, emulator):
    """Arguments, variables, tags and display name reach the service as if the definition held them."""
    fields = project("import os, sys\nprint(sys.argv[1:], os.environ['DAY'])")
    more = {"arguments": ["--n", "3"], "environment_variables": {"DAY": "{{ ti.task_id }}"}, "compute_name": cpu}
    named = {"tags": {"team": "a"}, "display_name": "my run"}
    run_id = airflow.run(AzureMLStartRunOperator, **fields, **more, **named).result["run_id"]
    run = emulator.regional("GET", "history/v1.0", f"/runs/{run_id}").json()
    assert (run["displayName"], run["tags"]["team"], run["tags"]["airflow_task_id"]) == ("my run", "a", "task")
    details = emulator.regional("GET", "history/v1.0", f"/runs/{run_id}/details").json()
    assert "['--n', '3'] task" in emulator.call("GET", details["logFiles"]["user_logs/std_log.txt"]).text


def test_a_command_needs_no_definition(airflow, cpu, project):
    """The command line alone says what to run."""
    fields = project("print(1)")
    python = {"environment": fields["run_definition"]["environment"]}
    given = {**fields, "run_definition": python, "compute_name": cpu, "command": "python train.py"}
    assert airflow.run(AzureMLStartRunOperator, **given).result["status"] == "Completed"


def test_a_definition_file_is_rendered_as_text_in_a_dag_with_native_objects(airflow, cpu, project, emulator, tmp_path):
    """Jinja would make a Python dict of the JSON text, which is no JSON any more."""
    fields = project("import sys\nprint(sys.argv[1:])")
    (tmp_path / "run.json").write_text(
        '{"script": "train.py", "arguments": ["{{ ti.task_id }}"],'
        ' "environment": {"python": {"userManagedDependencies": true}}}'
    )
    make = airflow.dag

    def native():
        dag = make()
        dag.render_template_as_native_obj = True
        return dag

    airflow.dag = native
    given = {**fields, "run_definition": "run.json", "compute_name": cpu}
    run_id = airflow.run(AzureMLStartRunOperator, **given).result["run_id"]
    details = emulator.regional("GET", "history/v1.0", f"/runs/{run_id}/details").json()
    assert details["runDefinition"]["arguments"] == ["task"]
