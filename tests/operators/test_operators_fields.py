"""What all operators and sensors have in common on their face: parameters, templates, documentation."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from operator_classes import CLASSES, required

from airflow_azml.operators.base import AzureMLBaseOperator
from airflow_azml.operators.compute import AzureMLDeleteComputeOperator
from airflow_azml.operators.endpoint import AzureMLScoreOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

# How a task behaves, and not what it is about: fixed when the DAG is written.
BEHAVIOUR = {
    *("wait_for_completion", "deferrable", "poll_interval", "poke_interval", "timeout"),
    *("cancel_on_kill", "run_timeout"),
    *("max_files", "max_bytes"),
    *("queue_timeout", "request_timeout", "stream_logs", "end_from_trigger"),
    "metrics",  # names or a flag
    *("archived", "all_versions"),  # a template renders to text, and the text "False" is true
}


def parameters(operator):
    """Name the parameters of an operator, its bases in this package included."""
    ours = [cls for cls in operator.__mro__ if cls.__module__.startswith("airflow_azml") and "__init__" in vars(cls)]
    every = [inspect.signature(vars(cls)["__init__"]).parameters.values() for cls in ours]
    return {one.name for some in every for one in some if one.kind is not one.VAR_KEYWORD} - {"self"}


@pytest.mark.parametrize("operator", CLASSES)
def test_what_a_user_would_template_is_templated(operator):
    """Every parameter is a template field, apart from those that say how the task behaves."""
    assert set(operator.template_fields) == parameters(operator) - BEHAVIOUR


@pytest.mark.parametrize("operator", CLASSES)
def test_template_fields_render_deep_into_their_values(operator, airflow_offline):
    """Each template field is an attribute of its name that Airflow renders, also inside dicts and lists."""
    fields = {name: {"deep": ["{{ run_id }}"]} for name in operator.template_fields}
    with airflow_offline.dag():
        task = operator(task_id="task", **fields)
    ti = airflow_offline.instance(task)
    ti.render_templates(ti.get_template_context())
    rendered = {"deep": [airflow_offline.run_id]}
    assert [name for name in fields if getattr(ti.task, name) != rendered] == []


@pytest.mark.parametrize("operator", CLASSES)
def test_parameters_are_named_and_documented(operator):
    """Parameters are keyword-only, and each has its line in the docstring of the class that has it."""
    documented = "".join(inspect.getdoc(cls) or "" for cls in operator.__mro__ if "airflow_azml" in cls.__module__)
    assert [name for name in parameters(operator) if f":param {name}:" not in documented] == []
    with pytest.raises(TypeError):
        operator("cpu", task_id="task")


@pytest.mark.parametrize("operator", CLASSES)
def test_names_follow_the_house(operator):
    """Verb before noun, with the ending that Airflow's users look for, and the link to studio."""
    ending = "Sensor" if issubclass(operator, BaseSensorOperator) else "Operator"
    assert operator.__name__.startswith("AzureML")
    assert operator.__name__.endswith(ending)
    assert [link.name for link in operator.operator_extra_links] == ["Azure ML studio"]


@pytest.mark.parametrize("operator", CLASSES)
def test_a_forgotten_parameter_is_said_when_the_dag_is_parsed(operator):
    """Python itself names the missing parameters: nothing waits for the task to run."""
    with pytest.raises((TypeError, ValueError), match="|".join(required(operator))):
        operator(task_id="task")


@pytest.mark.parametrize("value", ["False", "cancel", None, 1])
def test_a_cancel_on_kill_that_is_no_flag_is_refused_when_the_dag_is_parsed(value):
    """The text "False" would count as true, and None as false."""
    for operator, fields in (
        (AzureMLDeleteComputeOperator, {"compute_name": "c"}),
        (AzureMLWaitForRunSensor, {"run_id": "r"}),
    ):
        with pytest.raises(ValueError, match=f"cancel_on_kill {value!r}: must be True or False"):
            operator(task_id="task", cancel_on_kill=value, **fields)


def test_an_operator_without_a_deed_says_so(airflow_offline):
    """The base classes are to be subclassed."""
    outcome = airflow_offline.run(AzureMLBaseOperator)
    assert isinstance(outcome.error, NotImplementedError)
    assert issubclass(AzureMLBaseOperator, BaseOperator)


def test_looks_are_frequent_where_they_are_cheap():
    """Every five seconds; a sensor in mode `reschedule` pays a process for each look, so it looks once a minute."""
    wait = {"task_id": "t", "run_id": "r"}
    assert AzureMLWaitForRunSensor(**wait).poke_interval == 5
    assert AzureMLWaitForRunSensor(**wait, deferrable=True).poke_interval == 5
    assert AzureMLWaitForRunSensor(**wait, mode="reschedule").poke_interval == 60
    assert AzureMLWaitForRunSensor(**wait, mode="reschedule", poke_interval=7).poke_interval == 7
    assert AzureMLWaitForRunSensor(**wait, mode="reschedule", poll_interval=timedelta(seconds=8)).poke_interval == 8
    assert AzureMLDeleteComputeOperator(task_id="t", compute_name="c").poll_interval == 5


def test_defaults_of_a_dag_mean_the_same_as_the_sensors_own():
    """`mode` from `default_args` counts for how often the sensor looks."""
    with DAG("d", schedule=None, default_args={"mode": "reschedule"}):
        sensor = AzureMLWaitForRunSensor(task_id="t", run_id="r")
    assert (sensor.mode, sensor.poke_interval) == ("reschedule", 60)
    with DAG("e", schedule=None, default_args={"poke_interval": 7, "mode": "reschedule"}):
        assert AzureMLWaitForRunSensor(task_id="t", run_id="r").poke_interval == 7
        assert (
            AzureMLWaitForRunSensor(
                task_id="u", run_id="r", mode="poke", poke_interval=timedelta(seconds=9)
            ).poke_interval
            == 9
        )


def test_a_timeout_in_the_defaults_of_a_dag_is_not_that_of_a_request():
    """It is for tasks that wait; a request to a model has `request_timeout`, seconds or a timedelta."""
    with DAG("d", schedule=None, default_args={"timeout": timedelta(hours=4)}):
        score = AzureMLScoreOperator(task_id="t", endpoint_name="shop", data={})
        assert score.request_timeout == 90
        assert AzureMLDeleteComputeOperator(task_id="u", compute_name="cpu").timeout == 4 * 3600
        own = {"endpoint_name": "shop", "data": {}, "request_timeout": timedelta(seconds=30)}
        assert AzureMLScoreOperator(task_id="v", **own).request_timeout == 30
        with pytest.raises(ValueError, match="request_timeout 0: must be seconds above 0"):
            AzureMLScoreOperator(task_id="w", endpoint_name="shop", data={}, request_timeout=0)
