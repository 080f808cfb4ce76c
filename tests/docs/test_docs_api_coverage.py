"""docs/api-coverage.md names nothing that is not there, and leaves no operator, sensor or published operation out."""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
from pathlib import Path

import pytest

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.provider_info import OPERATORS, SENSORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api-coverage.md").read_text()
SPECS = ROOT / "tests" / "specs" / "published" / "machinelearningservices"
METHODS = {"get", "put", "post", "patch", "delete"}


def classes():
    """Name the public operators and sensors."""
    modules = [f"operators.{name}" for name in OPERATORS] + [f"sensors.{name}" for name in SENSORS]
    loaded = [importlib.import_module(f"airflow_azml.{name}") for name in modules]
    return {
        name
        for module in loaded
        for name, value in vars(module).items()
        if re.fullmatch(r"AzureML\w+(Operator|Sensor)", name) and value.__module__ == module.__name__
    }


def test_every_operator_and_sensor_is_in_the_tables():
    """And the tables name no other."""
    assert set(re.findall(r"`(AzureML\w+(?:Operator|Sensor))`", PAGE)) == classes()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`client\.([\w.]+)`", PAGE))))
def test_every_method_exists(name):
    """As an attribute of a client, of either registry."""
    with AzureMLClient(Workspace("s", "g", "w"), StaticToken("t")) as client:
        resource, _, method = name.partition(".")
        assert hasattr(type(getattr(client, resource)), method)


def operations(pattern):
    """Return the ids of the operations that specifications publish."""
    paths = [path for file in SPECS.glob(pattern) for path in json.loads(file.read_text())["paths"].values()]
    return {each["operationId"] for path in paths for method, each in path.items() if method in METHODS}


@pytest.mark.parametrize(
    "pattern", ["resource-manager/*/stable/2019-11-01/m*.json", "data-plane/*/preview/2019-09-30/*.json"]
)
def test_every_published_operation_is_accounted_for(pattern):
    """Each operation of the classic specifications is in a table, by its id or by its family (`Name_*`)."""
    families = [fnmatch.translate(word) for word in re.findall(r"\b[A-Z]\w*_[\w*]*\*", PAGE)]
    published = operations(pattern)
    assert len(published) > 20
    known = {one for one in published if one in PAGE or any(re.match(family, one) for family in families)}
    assert published - known == set()
