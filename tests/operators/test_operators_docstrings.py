"""The docstring of every operator and sensor says what it calls, returns and raises, and in which units."""

from __future__ import annotations

import builtins
import inspect
import re

import pytest
from airflow.sdk import BaseSensorOperator
from airflow.sdk import exceptions as airflow_errors
from operator_classes import CLASSES, keywords

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.lifecycle import Goal, Target
from airflow_azml.client.transport import errors
from airflow_azml.operators.base import AzureMLBaseOperator, AzureMLWaitingOperator
from airflow_azml.sensors.base import AzureMLBaseSensor

WAITING = [cls for cls in CLASSES if issubclass(cls, AzureMLWaitingOperator | BaseSensorOperator)]
# What the classes that wait work on, by a word in their names; the first that is found counts.
KINDS = {
    "Run": "runs",
    "Deployment": "deployments",
    "Endpoint": "endpoints",
    "Traffic": "endpoints",
    "Model": "models",
    "Compute": "computes",
}


def text_of(cls):
    """Return a class's docstring without its parameters, on one line."""
    return " ".join((inspect.getdoc(cls) or "").partition(":param")[0].split())


def returned(cls):
    """Return what the docstring says of the result; where it refers to another class, what that one says."""
    said = text_of(cls).partition("Returns ")[2].partition("Raises ")[0]
    if other := re.match(r"what `(\w+)` returns", said):
        return returned(next(cls for cls in CLASSES if cls.__name__ == other[1]))
    return said


@pytest.mark.parametrize("cls", CLASSES)
def test_a_docstring_says_what_is_called_returned_and_raised(cls):
    """With a link to Microsoft's reference, in this order."""
    assert re.search(
        r"API: `(GET|POST|PUT|DELETE).*https://learn\.microsoft\.com/\S+ .*Returns .*Raises .*", text_of(cls)
    )


@pytest.mark.parametrize("cls", [*CLASSES, AzureMLBaseOperator, AzureMLBaseSensor])
def test_the_errors_that_a_docstring_names_exist(cls):
    """Whoever writes `except` after it gets no NameError."""
    named = re.findall(r"\b[A-Z]\w+(?:Error|Exception|Timeout)\b", text_of(cls))
    places = (errors, airflow_errors, builtins)
    assert named
    assert [name for name in named if not any(hasattr(place, name) for place in places)] == []


@pytest.mark.parametrize("cls", WAITING)
def test_the_keys_that_a_docstring_promises_are_those_of_the_result(cls):
    """All of them, and no other: the next task reads them from XCom."""
    kind = next(kind for word, kind in KINDS.items() if word in cls.__name__)
    goal = Goal.GONE if "Delete" in cls.__name__ else Goal.SUCCEEDED
    target = Target(kind, "name", "parent", goal)
    studio = set() if issubclass(cls, BaseSensorOperator) else {"studio_url"}
    promised = set(re.findall(r"`([a-z_]+)`", returned(cls).partition(";")[0]))
    assert promised == set(AzureMLClient.kind_of(target).known(target)) | studio


@pytest.mark.parametrize("cls", [*CLASSES, AzureMLBaseOperator, AzureMLWaitingOperator, AzureMLBaseSensor])
def test_a_parameter_that_has_a_unit_says_which(cls):
    """Spans of time are seconds, sizes are bytes."""
    doc = inspect.getdoc(cls)
    for parameter in keywords(cls) if "__init__" in vars(cls) else ():
        unit = "seconds" if "Seconds" in str(parameter.annotation) else "bytes" if "bytes" in parameter.name else ""
        line = re.search(rf":param {parameter.name}:(.*?)(?=:param|\Z)", doc, re.DOTALL)
        assert unit in " ".join(line[1].split()) or parameter.name == "poke_interval"
