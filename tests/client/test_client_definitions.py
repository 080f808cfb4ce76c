"""Run definitions and names: what is accepted, and what is said when it is not."""

from __future__ import annotations

import json
import re

import pytest

from airflow_azml.client import names
from airflow_azml.client.resources.resource import path_of
from airflow_azml.client.specs.loading import load
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


def test_a_date_in_yaml_stays_what_was_written(tmp_path):
    """A template renders to a bare date, which JSON cannot hold; other values keep their types."""
    path = tmp_path / "run.yml"
    path.write_text("a: 2026-01-02\nb: 2026-01-02 03:04:05\nc: !!timestamp 2026-01-02\nd: 2026\n2026-01-02: e\n")
    assert json.loads(json.dumps(load(path, "spec"))) == {
        "a": "2026-01-02",
        "b": "2026-01-02 03:04:05",
        "c": "2026-01-02",
        "d": 2026,
        "2026-01-02": "e",
    }


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


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_definition_that_is_not_utf8_is_named(tmp_path, encoding):
    """The file, and what to do with it."""
    path = tmp_path / "run.json"
    path.write_text('{"a": "é"}', encoding=encoding)
    with pytest.raises(
        InputError, match=r"definition .*run\.json': cannot be read: it is not UTF-8 text; save it as UTF-8"
    ):
        load(path, "definition")


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


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.json", '{\n "a": 1,\n}', r"run\.json'.*line [23]"),
        ("run.yml", "a: 1\nb: [1\nc: 2\n", r"run\.yml'.*line 3"),
        ("run.toml", "a = 1", "must be a .json, .yml or .yaml file"),
        ("run.yaml", "- 1", "must hold an object, not list"),
        ("run.yaml", "a: \x07", r"run\.yaml': does not parse: unacceptable character"),
        ("run.yaml", "a: !!int x", r"run\.yaml': does not parse: invalid literal"),
        ("run.json", "9" * 5000, r"run\.json': does not parse: Exceeds the limit"),
    ],
)
def test_a_file_that_does_not_parse(tmp_path, name, text, said):
    """File and line are said."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        load(tmp_path / name, "definition")


def test_what_is_no_mapping_is_refused():
    """A template may render to anything."""
    with pytest.raises(InputError, match=re.escape("spec ['a']: must be a mapping, not list")):
        load(["a"], "spec")


def test_a_file_that_is_not_there(tmp_path):
    """The file's name and the system's reason are said."""
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.json", "definition")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            names.check_compute_name,
            ["cpu", "cpu-cluster", "a1"],
            ["1cpu", "a", "cpu-", "cpu_1", "c" * 33, "", None, "cpu\n"],
        ),
        (names.check_run_id, ["a", "train_1-x", "9", "a" * 256], ["-a", "a" * 257, "a:b", "a.b", "a+b", "", "é"]),
        (names.check_experiment_name, ["exp", "a" * 255], ["a b", "_a", "a" * 256]),
        (names.check_asset_name, ["env-1"], ["env.1"]),
        (names.check_model_name, ["m", "my.model-1_x"], [".m", "m/1", "m:1"]),
        (names.check_endpoint_name, ["abc", "my-endpoint"], ["ab", "1ab", "abc-", "a" * 33, "a_b"]),
        (names.check_deployment_name, ["blue"], ["b"]),
    ],
)
def test_names(check, good, bad):
    """Names within the rules are returned, others refused with field, value and rule."""
    assert [check(name) for name in good] == good
    for name in bad:
        with pytest.raises(InputError, match="must be") as caught:
            check(name)
        assert caught.value.value == name


def test_deterministic_ids():
    """The same identity gives the same readable id, another one another, and every id is valid."""
    one = names.deterministic_id(["my dag", "train"], "my dag", "manual__2026-11-23T00:00:00+00:00", "train", -1, 0, 0)
    assert one == names.deterministic_id(
        ["my dag", "train"], "my dag", "manual__2026-11-23T00:00:00+00:00", "train", -1, 0, 0
    )
    assert one.startswith("my-dag-train-")
    assert one != names.deterministic_id(
        ["my dag", "train"], "my dag", "manual__2026-11-23T00:00:00+00:00", "train", -1, 0, 1
    )
    assert names.deterministic_id(["x"], "a", "bc") != names.deterministic_id(["x"], "ab", "c")
    for slug in (["é:+"], [], ["x" * 999], ["-"]):
        made = names.deterministic_id(slug, "i")
        assert names.check_run_id(made) == names.check_experiment_name(made)
        assert len(made) <= 100


def test_an_address_never_loses_a_level():
    """A client drops `..` from an address: the name of one thing would reach the thing above it."""
    for name in ("", " ", ".", "..", None):
        with pytest.raises(InputError, match="must be the name of one thing"):
            path_of(("computes", name))
    assert path_of(("models", "a/b", "...")) == "/models/a%2Fb/..."
