"""What Airflow discovers of the provider: valid against its schema, complete, and found by a real Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import airflow
import jsonschema
import pytest

import airflow_azml
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.links.azureml import AzureMLStudioLink
from airflow_azml.provider_info import CONNECTION_FIELDS, get_provider_info

DISCOVERY = """
import json, logging
from airflow.providers_manager import ProvidersManager
found = ProvidersManager()
hook = found.hooks["azureml"]
print(json.dumps({
    "version": found.providers["airflow-azml"].version,
    "hook": [hook.hook_class_name, hook.hook_name, hook.connection_id_attribute_name, hook.connection_testable],
    "form": [name for name in found.connection_form_widgets if name.startswith("extra__azureml__")],
    "behaviour": found.field_behaviours["azureml"],
    "links": found.extra_links_class_names,
}))
"""


def test_the_metadata_is_valid_against_airflows_schema():
    """Airflow drops a provider whose metadata it cannot validate."""
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


@pytest.mark.parametrize("room", ["operators", "sensors", "hooks", "triggers"])
def test_every_module_of_a_room_is_told_about(room):
    """A new resource file is not forgotten, and what is told about can be imported."""
    told = {module for row in get_provider_info()[room] for module in row["python-modules"]}
    folder = Path(airflow_azml.__file__).parent / room
    there = {f"airflow_azml.{room}.{file.stem}" for file in folder.glob("*.py")}
    helping = ("__init__", "base", "connection", "form", "hub", "run_log", "threads", "xcom", "cancelling", "patience")
    helpers = {f"airflow_azml.{room}.{name}" for name in helping}
    assert told == there - helpers
    assert all(import_module(module) for module in told)


def test_a_real_airflow_finds_connection_form_and_link():
    """ProvidersManager, in a process of its own, through the entry point."""
    done = subprocess.run([sys.executable, "-c", DISCOVERY], capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["version"] == airflow_azml.__version__
    hook = f"{AzureMLHook.__module__}.{AzureMLHook.__name__}"
    assert found["hook"] == [hook, AzureMLHook.hook_name, AzureMLHook.conn_name_attr, True]
    assert set(found["form"]) == {f"extra__azureml__{name}" for name in CONNECTION_FIELDS}
    assert found["behaviour"]["relabeling"] == {"login": "Client ID", "password": "Client secret"}
    assert f"{AzureMLStudioLink.__module__}.{AzureMLStudioLink.__name__}" in found["links"]


def test_airflow_lists_the_provider():
    """As a person looks for it."""
    command = [sys.executable, "-m", "airflow", "providers", "list", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    rows = json.loads(done.stdout[done.stdout.index("[") :])
    assert {"airflow-azml": airflow_azml.__version__}.items() <= {
        row["package_name"]: row["version"] for row in rows
    }.items()


def test_secrets_are_entered_unseen():
    """The form hides what is typed into a field that holds a secret."""
    hidden = {name for name, field in CONNECTION_FIELDS.items() if field["schema"].get("format") == "password"}
    assert hidden == {"token", "certificate"}
