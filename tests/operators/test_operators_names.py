"""Names in every operator and sensor: what is no name is refused before anything is sent, and widens no deletion.

`airflow_offline` proves that nothing is sent. The classes are found by inspection.
"""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException
from operator_classes import CLASSES, keywords, valid

from airflow_azml.operators.compute import AzureMLDeleteComputeOperator
from airflow_azml.operators.deployment import AzureMLCreateOnlineDeploymentOperator
from airflow_azml.operators.endpoint import AzureMLSetOnlineTrafficOperator
from airflow_azml.operators.model import AzureMLDeleteModelOperator
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.runtime.task import Task
from airflow_azml.sensors.model import AzureMLWaitForModelSensor

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
COLLECTIONS = {
    "compute_name": "computes", "run_id": "jobs", "model_name": "models", "endpoint_name": "onlineEndpoints",
    "deployment_name": "onlineEndpoints/shop/deployments", "model_version": "models/m/versions",
}  # fmt: skip
MISSING = ["None", "", "   ", " None "]  # what a template renders to when its value is missing
WRONG = ["x" * 300, "a/b", "..", "naïve", "a b", "-", 1.1, True, ["cpu"]]


def is_name(parameter):
    """Tell whether a parameter names a thing in the workspace; the connection is Airflow's, a display name is text."""
    return parameter.name.endswith(("_name", "_id", "_version", "vm_size", "instance_type")) and (
        parameter.name not in {"azureml_conn_id", "display_name"}
    )


FIELDS = [
    pytest.param(operator, one.name, one.default, id=f"{operator.__name__}-{one.name}")
    for operator in CLASSES
    for one in keywords(operator)
    if is_name(one)
]


@pytest.fixture
def refusal(airflow_offline):
    """Run a task with what a test gives; return what was said when it failed at once, without a retry."""

    def refusal(operator, **fields):
        outcome = airflow_offline.run(operator, retries=2, **{**valid(operator), **fields})
        assert isinstance(outcome.error, AirflowFailException), f"{fields}: {outcome.state} {outcome.error!r}"
        return str(outcome.error)

    return refusal


def test_all_classes_are_found():
    """The inspection that the tests below stand on finds operators and sensors."""
    found = {cls.__name__ for cls in CLASSES}
    assert {"AzureMLDeleteModelOperator", "AzureMLWaitForRunSensor"} < found
    assert len(found) == len(CLASSES) >= 20


@pytest.mark.parametrize(("operator", "field", "default"), FIELDS)
def test_what_is_no_name_is_refused(refusal, operator, field, default):
    """Field, value and remedy are said, for a value that is missing with where to look."""
    for value in [*MISSING, *([] if default is None else [None])]:
        said = refusal(operator, **{field: value})
        assert said.startswith(f"{field}: must be " if value is None else f"{field} {value!r}: must be ")
        assert "a template renders to this when its value is missing" in said
    for value in WRONG:
        said = refusal(operator, **{field: value})
        assert said.startswith(f"{field} {value!r}: must be ")
        assert "template" not in said


@pytest.mark.parametrize(("operator", "field"), [one.values[:2] for one in FIELDS if one.values[1] in COLLECTIONS])
def test_an_arm_id_where_a_name_is_expected_is_told_from_a_wrong_name(refusal, operator, field):
    """The error says which part of the id is the name."""
    said = refusal(operator, **{field: f"{WORKSPACE}/{COLLECTIONS[field]}/cpu/more/x"})
    assert "is an ARM id; give the name 'cpu' only" in said
    assert "is an ARM id; give the name only" in refusal(operator, **{field: "/subscriptions/s"})


@pytest.mark.parametrize("operator", CLASSES)
def test_a_connection_id_that_renders_to_nothing_is_refused(refusal, operator):
    """The error is about the field, not about a connection called None."""
    for value in [*MISSING, None]:
        assert "must be the id of an Airflow connection" in refusal(operator, azureml_conn_id=value)


def test_a_pulled_value_that_is_not_there_deletes_nothing(refusal):
    """Jinja renders it to the text "None", which Azure would accept as the name of a compute."""
    said = refusal(AzureMLDeleteComputeOperator, compute_name="{{ ti.xcom_pull(task_ids='x') }}")
    assert said.startswith("compute_name 'None': must be 2 to 32 letters")


def test_a_missing_version_deletes_no_other(refusal):
    """Neither one that renders to nothing, nor None out of a mapping, stands for all versions."""
    assert "model_version: is required; only all_versions=True" in refusal(AzureMLDeleteModelOperator)
    said = refusal(AzureMLDeleteModelOperator, model_version="1", all_versions=True)
    assert "model_version '1': must not be given with all_versions=True" in said
    said = refusal(AzureMLDeleteModelOperator, model_version="", all_versions=True)
    assert "model_version '': must be" in said
    for flag in ("False", 1, None):
        said = refusal(AzureMLDeleteModelOperator, all_versions=flag)
        assert "must be True or False" in said


@pytest.mark.parametrize(
    ("operator", "fields", "said"),
    [
        (AzureMLSetOnlineTrafficOperator, {"traffic": {"None": 100}}, "traffic 'None': must be 3 to 32"),
        (AzureMLStartRunOperator, {"source_directory": " "}, "source_directory ' ': must be the path of a folder"),
        (AzureMLDeleteComputeOperator, {"underlying_resource_action": "None"}, "must be one of Delete, Detach"),
        (AzureMLCreateOnlineDeploymentOperator, {"environment": ""}, "environment '': must be name:version"),
        (AzureMLCreateOnlineDeploymentOperator, {"environment": "e:None"}, "environment 'e:None': must be"),
        (
            AzureMLCreateOnlineDeploymentOperator,
            {"environment": {"image": "python", "name": "None"}},
            "environment.name 'None': must be",
        ),
    ],
)
def test_names_inside_other_values_are_names_too(refusal, operator, fields, said):
    """Keys of the traffic, the environment of a deployment, the folder of a run."""
    assert said in refusal(operator, **fields)


def test_a_definition_whose_target_renders_to_nothing_is_refused(refusal, tmp_path):
    """The compute of a run may be named in its definition."""
    (tmp_path / "run.yml").write_text("script: train.py\ntarget: '{{ none }}'\n")
    said = refusal(AzureMLStartRunOperator, run_definition="run.yml")
    assert "run_definition.configuration.target 'None': must be 2 to 32 letters" in said


class Untouchable:
    """A value of which nothing may be asked: it stands for one that is only known at run time."""


def _refuse(*_):
    raise AssertionError("the value of a template field was used in __init__")


_USES = (
    "bool", "eq", "ne", "lt", "gt", "le", "ge", "hash", "str", "repr", "format", "len", "iter", "next", "getitem",
    "contains", "int", "float", "index", "fspath", "call", "getattr", "add", "radd", "mod", "or", "ror",
)  # fmt: skip
for _use in _USES:
    setattr(Untouchable, f"__{_use}__", _refuse)


def state(operator, value):
    """Make a task whose template fields all hold the value, as a mapped task does; return its other attributes."""
    task = operator(task_id="t", _airflow_from_mapped=True, **dict.fromkeys(operator.template_fields, value))
    attributes = {**vars(task)}
    assert all(attributes.pop(name) is value for name in operator.template_fields)
    del attributes["_BaseOperator__init_kwargs"]  # Airflow's record of the arguments
    return {name: repr(one) for name, one in attributes.items()}


@pytest.mark.parametrize("operator", CLASSES)
def test_making_a_task_reads_no_template_field(operator):
    """A mapped task's `__init__` gets run-time values: it assigns them and decides nothing by them."""
    expected = state(operator, "{{ x }}")
    assert state(operator, Untouchable()) == expected
    assert state(operator, None) == expected


def test_none_out_of_a_mapping_reaches_the_refusal(airflow_offline):
    """As `partial(...).expand(model_version=["1", None])` makes the second task."""
    made = {"task_id": "t", "model_name": "m", "model_version": None, "_airflow_from_mapped": True}
    with airflow_offline.dag():
        task = AzureMLDeleteModelOperator(**made)
    outcome = airflow_offline.run_task(task)
    assert "model_version: is required; only all_versions=True deletes every version" in str(outcome.error)


def test_a_sensor_for_any_version_may_leave_it_out():
    """None is the parameter's own default there, and stays allowed."""
    task = Task(AzureMLWaitForModelSensor(task_id="t", model_name="m", model_version=3), {})
    task.check_names()
    assert task.operator.model_version == "3"
    task.operator.model_version = None
    task.check_names()
    assert task.operator.target(task).parent == ""
