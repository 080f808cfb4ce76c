"""Every operator and sensor of the package, found by inspection, so that tests over all of them cover a new one too."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

from airflow_azml import operators, sensors

# A value for each parameter that some operator requires; an operator with another one needs a line here.
VALID: dict[str, Any] = {
    "compute_name": "cpu",
    "data": {"rows": []},
    "deployment_name": "blue",
    "destination": "/tmp/outputs",  # noqa: S108 - nothing is written: the tests give a wrong name beside it
    "endpoint_name": "shop",
    "experiment_name": "exp",
    "model_name": "m",
    "model_version": "1",
    "run_definition": {"script": "train.py"},
    "run_id": "r1",
    "source_directory": "train",
    "tags": {},
    "traffic": {"blue": 100},
}


def _declared(package: ModuleType) -> list[Any]:
    names = [one.name for one in pkgutil.iter_modules(package.__path__) if one.name != "base"]
    modules = [import_module(f"{package.__name__}.{name}") for name in names]
    return [
        cls
        for module in modules
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and name.startswith("AzureML")
    ]


CLASSES: list[Any] = [*_declared(operators), *_declared(sensors)]


def keywords(operator: Any) -> list[inspect.Parameter]:
    """Return the parameters that the operator itself declares."""
    every = inspect.signature(operator.__init__).parameters.values()
    return [one for one in every if one.kind is one.KEYWORD_ONLY]


def required(operator: Any) -> list[str]:
    """Name the parameters without a default."""
    return [one.name for one in keywords(operator) if one.default is one.empty]


def valid(operator: Any) -> dict[str, Any]:
    """Return the least that makes a task of the operator; what may not be missing together is there."""
    return {name: VALID[name] for name in required(operator)}
