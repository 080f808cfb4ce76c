"""Parsing a DAG file must not pay for what only a running task needs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_azml
from airflow_azml.provider_info import get_provider_info

PROVIDER = get_provider_info()
PARSED = [name for room in ("operators", "sensors") for row in PROVIDER[room] for name in row["python-modules"]]
ROOMS = [*PARSED, "airflow_azml.provider_info", "airflow_azml.links.azureml"]
# Loaded by a bare DAG file itself: what stands above these is ours.
BARE = "import airflow.sdk; from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, BaseOperatorLink"
SCRIPT = """
import json, sys
{bare}
before = set(sys.modules)
import {modules}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(*modules):
    """Return the modules that an import loads beyond what a bare DAG file has loaded already."""
    script = SCRIPT.format(bare=BARE, modules=", ".join(modules))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def parsed():
    """What a DAG file that uses every operator loads."""
    return loaded(*ROOMS)


def test_parsing_loads_nothing_that_talks_to_azure(parsed):
    """No requests, msal or fastapi, and nothing of the client, the hook or the trigger."""
    heavy = ("requests", "msal", "fastapi", "uvicorn", "yaml", "pathspec", "cryptography", "sqlite3")
    rooms = ("client", "emulator", "hooks", "runtime", "triggers", "demo", "cli")
    forbidden = heavy + tuple(f"airflow_azml.{room}" for room in rooms)
    assert [name for name in parsed if name == forbidden or name.startswith(forbidden)] == []


def test_parsing_loads_our_own_modules_only(parsed):
    """Beyond a bare airflow.sdk there is nothing to pay for but our own few files."""
    assert [name for name in parsed if name.partition(".")[0] != "airflow_azml"] == []


def test_the_trigger_loads_no_http(parsed):
    """The triggerer and the scheduler import it to rebuild it: requests and msal wait for the first look."""
    assert "airflow_azml.triggers.azureml" not in parsed
    beyond = loaded("airflow_azml.triggers.azureml")
    assert [name for name in beyond if name.partition(".")[0] in {"requests", "msal", "fastapi"}] == []


def test_the_client_is_usable_without_airflow():
    """From a notebook: neither airflow nor the HTTP libraries are loaded by importing it."""
    script = "import json, sys; import airflow_azml.client.azureml; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    names = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert names.isdisjoint({"airflow", "requests", "msal", "fastapi"})


@pytest.mark.parametrize("room", ["operators", "sensors", "links", "runtime", "triggers"])
def test_a_room_of_declarations_and_what_runs_them_import_at_their_top(room):
    """The run time is entered in one place, `airflow_azml.entry`: nothing else has to put off an import."""
    for file in (Path(airflow_azml.__file__).parent / room).glob("*.py"):
        functions = [one for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.FunctionDef)]
        inner = [one for function in functions for one in ast.walk(function)]
        assert not [one for one in inner if isinstance(one, ast.Import | ast.ImportFrom)], file
