"""What a failed task shows: each fact once, and no frame of this package for an error that was to be expected."""

from __future__ import annotations

import inspect
import traceback

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.tracebacks import ExceptionDictTransformer

from airflow_azml.client.transport.errors import ConnectionFailedError, InputError, ServiceError
from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.runtime.task import Task
from airflow_azml.sensors.run import AzureMLWaitForRunSensor


def own_frames(error):
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.filename for frame in frames if "/airflow_azml/" in frame.filename]


def shown(error):
    """Return the exceptions that Airflow's structured log shows for one: it and the chain behind it."""
    return ExceptionDictTransformer(use_rich=False, show_locals=False)((type(error), error, error.__traceback__))


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (AzureMLCreateComputeOperator, {"compute_name": "cpu", "max_nodes": "many"}),
        (AzureMLWaitForRunSensor, {"run_id": "not a run", "deferrable": False}),
    ],
)
def test_a_value_that_is_wrong_is_told_in_one_sentence(airflow_offline, operator, fields):
    """One exception, whose message names field, value and rule; the original is there for callbacks."""
    error = airflow_offline.run(operator, **fields).error
    assert isinstance(error, AirflowFailException)
    assert isinstance(error.__context__, InputError)
    assert own_frames(error) == []
    assert [one["exc_type"] for one in shown(error)] == ["AirflowFailException"]


@pytest.mark.parametrize("raised", [ConnectionFailedError("no answer"), ServiceError("down"), TimeoutError("late")])
def test_an_error_of_the_service_has_no_frames_of_ours(airflow_offline, monkeypatch, raised):
    """Whether or not a retry can help: where in our code it was met helps nobody."""

    def client(_):
        raise raised

    monkeypatch.setattr(Task, "client", property(client))
    error = airflow_offline.run(AzureMLDeleteComputeOperator, compute_name="cpu").error
    assert error is raised
    assert (own_frames(error), len(shown(error))) == ([], 1)


def test_a_mistake_of_ours_keeps_its_frames(airflow_offline, monkeypatch):
    """Whoever mends it needs them."""
    monkeypatch.setattr(Task, "client", property(lambda _: {}["missing"]))
    error = airflow_offline.run(AzureMLDeleteComputeOperator, compute_name="cpu").error
    assert isinstance(error, KeyError)
    assert own_frames(error) != []


def test_what_airflow_calls_looks_as_airflow_declares_it():
    """The run time that the methods get is no parameter of theirs, and their docstrings are their own."""
    assert "process" not in inspect.signature(AzureMLWaitForRunSensor.poke).parameters
    assert AzureMLWaitForRunSensor.poke.__doc__.startswith("Look once")
