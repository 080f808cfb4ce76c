"""Definitions and specs in files: what is wrong with one is said with its name and line."""

from __future__ import annotations

import json
import re

import pytest

from airflow_azml.client.specs.loading import load
from airflow_azml.client.transport.errors import InputError


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
