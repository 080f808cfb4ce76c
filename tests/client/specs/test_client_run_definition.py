"""Run definitions: what is accepted, and what is said when it is not."""

from __future__ import annotations

import json
import re

import pytest

from airflow_azml.client.specs.run_definition import collected_folders, run_definition
from airflow_azml.client.transport.errors import InputError

CONFIGURATION = {"script": "train.py", "arguments": [1, "--x"], "framework": "python", "communicator": None}


def test_a_configuration_alone_becomes_a_definition():
    """The top level may be the configuration; words and arguments come out as the service wants them."""
    assert run_definition(CONFIGURATION) == {
        "configuration": {"script": "train.py", "arguments": ["1", "--x"], "framework": "Python", "communicator": None}
    }


def test_pascal_case_is_spelled_as_in_the_specification():
    """What azureml-core writes is accepted; free objects are left as they are."""
    given = {
        "Configuration": {
            "Script": "t.py",
            "NodeCount": 2,
            "Environment": {"Python": {"UserManagedDependencies": True}, "EnvironmentVariables": {"My_Var": "1"}},
        },
        "ParentRunId": None,
    }
    assert run_definition(given) == {
        "configuration": {
            "script": "t.py",
            "nodeCount": 2,
            "environment": {"python": {"userManagedDependencies": True}, "environmentVariables": {"My_Var": "1"}},
        },
        "parentRunId": None,
    }
    assert "Configuration" in given


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"argumens": []}, "definition.configuration.argumens: unknown key; did you mean 'arguments'"),
        (
            {"environment": {"python": {"condaDependecies": {}}}},
            "python.condaDependecies: unknown key; did you mean 'condaDep",
        ),
        ({"zzzzzz": 1}, "unknown key; known are"),
        ({"script": ""}, "script '': is required"),
        ({"nodeCount": 0}, "nodeCount 0: must be a whole number"),
        ({"maxRunDurationSeconds": "60"}, "must be a whole number"),
        ({"nodeCount": True}, "must be a whole number"),
        ({"framework": "Torch"}, "must be one of Python, PySpark"),
        ({"arguments": "--x"}, "must be a list"),
        ({"arguments": ["--x", None]}, "configuration.arguments ['--x', None]: item 2 is empty"),
        ({"script": ["train.py"]}, "configuration.script ['train.py']: must be text, not list"),
        ({"script": 0}, "configuration.script 0: must be text, not int"),
        ({"command": 7}, "configuration.command 7: must be text, not int"),
    ],
)
def test_a_wrong_definition_is_explained(change, said):
    """The place, the value and the remedy are said."""
    with pytest.raises(InputError, match=re.escape(said)):
        run_definition({**CONFIGURATION, **change})


def test_empty_arguments_are_none():
    """An `arguments:` with nothing behind it is what YAML makes of a list whose items are commented out."""
    assert "arguments" not in run_definition({"script": "train.py", "arguments": None})["configuration"]


def test_a_configuration_must_be_an_object():
    """A definition whose configuration is text is no definition."""
    with pytest.raises(InputError, match="must be an object"):
        run_definition({"configuration": "train.py"})


@pytest.mark.parametrize("suffix", [".json", ".yml", ".yaml", ".YAML"])
def test_files(tmp_path, suffix):
    """JSON and YAML files are read."""
    path = tmp_path / f"run{suffix}"
    path.write_text(json.dumps(CONFIGURATION))
    assert run_definition(path) == run_definition(str(path)) == run_definition(CONFIGURATION)


@pytest.mark.parametrize("suffix", [".json", ".yml"])
def test_a_byte_order_mark_is_no_part_of_a_definition(tmp_path, suffix):
    """Editors of other systems write one."""
    path = tmp_path / f"run{suffix}"
    path.write_text(json.dumps(CONFIGURATION), encoding="utf-8-sig")
    assert run_definition(path) == run_definition(CONFIGURATION)


@pytest.mark.parametrize(
    ("history", "folders"),
    [
        (None, ("outputs", "logs")),
        ({"directoriesToWatch": ["logs", "./watched/", "a/b"]}, ("outputs", "logs", "watched", "a/b")),
    ],
)
def test_the_folders_that_the_service_collects_from(history, folders):
    """Those of every run, and those that the definition has watched."""
    assert (
        collected_folders(run_definition({**CONFIGURATION, "history": history} if history else CONFIGURATION))
        == folders
    )
