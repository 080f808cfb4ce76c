"""`airflow-azml files`: which files of a folder are uploaded, and why others are not."""

from __future__ import annotations

import pytest

from airflow_azml.cli import main


@pytest.fixture
def project(tmp_path):
    """A project with rules and with results of an earlier run."""
    for name, size in (("train.py", 1234), ("pkg/model.py", 5), ("data.csv", 9), ("outputs/old.pkl", 7)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / ".amlignore").write_text("*.csv\n")
    return tmp_path


def test_the_files_and_their_sizes(project, capsys):
    """One path a line, with its size; how many there are is no line of the list."""
    assert main(["files", str(project)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "            6  .amlignore",
        "            5  pkg/model.py",
        "        1,234  train.py",
    ]
    assert printed.err == "3 files, 1,245 bytes\n"


def test_why_the_others_are_excluded(project, capsys):
    """Each with the rule: file, line and text."""
    assert main(["files", str(project), "--why"]) == 0
    first, second = capsys.readouterr().out.splitlines()[3:]
    assert first == "            -  data.csv  (.amlignore:1: *.csv)"
    assert second.startswith("            -  outputs/  (the service collects a run's results from this folder")


def test_the_code_of_a_deployment_has_no_outputs(project, capsys):
    """A folder of that name there is one like others."""
    assert main(["files", str(project), "--deployment"]) == 0
    assert "outputs/old.pkl" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "said"), [("nowhere", "does not exist"), ("empty", "has no files to send")])
def test_what_could_not_be_sent_fails(tmp_path, capsys, name, said):
    """With the reason that a task would give."""
    (tmp_path / "empty").mkdir()
    assert main(["files", str(tmp_path / name)]) == 1
    assert said in capsys.readouterr().err
