"""Which files of a project folder are uploaded, and what is refused."""

from __future__ import annotations

import codecs
import errno
import logging
import os
from pathlib import Path

import pytest

from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.files.project import COLLECTED, project_files, select
from airflow_azml.client.transport.errors import InputError


def names(folder, **options):
    return [file.name for file in project_files(folder, **options)]


def test_files_are_sorted_and_relative(project):
    """Names are relative to the folder, with forward slashes, in one order."""
    (project / ".git").mkdir()
    (project / ".git" / "config").write_text("x")
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "x.pyc").write_text("x")
    assert names(project) == ["data.csv", "pkg/model.py", "train.py"]


def test_amlignore_wins_over_gitignore(project):
    """The first ignore file that is there decides, never both."""
    (project / ".gitignore").write_text("*.csv\n")
    assert "data.csv" not in names(project)
    (project / ".amlignore").write_text("pkg/\n*.py\n!train.py\n# a comment\n")
    assert names(project) == [".amlignore", ".gitignore", "data.csv", "train.py"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_files": 2}, "has 3 files, at most 2"),
        ({"max_bytes": 10}, "the largest file is train.py"),
        ({"entry_script": "model.py"}, r"did you mean pkg/model\.py\?"),
        ({"entry_script": "trian.py"}, r"did you mean train\.py\?"),
        ({"entry_script": "zzz"}, r"the folder has data\.csv, pkg/model\.py, train\.py"),
        ({"entry_script": "../train.py"}, "did you mean"),
    ],
)
def test_a_folder_that_cannot_be_sent(project, options, said):
    """Too many, too large, or without its entry script: said before anything is sent."""
    with pytest.raises(InputError, match=said):
        project_files(project, **options)


def test_the_entry_script_may_be_written_with_a_dot(project):
    """``./train.py`` is ``train.py``."""
    assert project_files(project, entry_script="./train.py")


def test_an_empty_or_missing_folder(tmp_path):
    """Nothing to send is an error with the folder's name."""
    with pytest.raises(InputError, match="has no files"):
        project_files(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        project_files(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not a folder"):
        project_files(tmp_path / "file")


def test_links(project, tmp_path):
    """Links within the folder are followed; those that leave it, lead nowhere or in a circle are refused."""
    (project / "again.py").symlink_to("train.py")
    (project / "lib").symlink_to("pkg", target_is_directory=True)
    assert names(project) == ["again.py", "data.csv", "lib/model.py", "pkg/model.py", "train.py"]
    for target, said in ((tmp_path, "leads out"), (project / "none", "leads nowhere"), (project, "that it is in")):
        link = project / "pkg" / "bad"
        link.symlink_to(target)
        with pytest.raises(InputError, match=said):
            project_files(project)
        link.unlink()


def test_an_ignore_file_below_counts_for_its_folder(project):
    """As with git: the nearest file that has a rule for a path decides."""
    (project / ".gitignore").write_text("*.csv\n")
    (project / "pkg" / ".gitignore").write_text("!*.csv\n/model.py\n")
    (project / "pkg" / "kept.csv").write_text("1")
    assert names(project) == [".gitignore", "pkg/.gitignore", "pkg/kept.csv", "train.py"]


@pytest.mark.parametrize("start", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_first_rule_counts_however_the_file_was_saved(project, start, end):
    """A byte order mark or the line ends of another system switch no rule off; a lone exclamation mark is no rule."""
    (project / ".amlignore").write_bytes(start + end.join([b"data.csv", b"!", b"# caf\xc3\xa9", b"/"]) + end)
    assert names(project) == [".amlignore", "pkg/model.py", "train.py"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize("name", [".amlignore", ".gitignore", "pkg/.gitignore"])
def test_an_ignore_file_that_is_not_utf8_is_named(project, encoding, name):
    """Rules that cannot be read must not let everything through."""
    (project / name).write_text("données.csv", encoding=encoding)
    with pytest.raises(InputError, match=rf"{name}.*UTF-8"):
        project_files(project)


def test_a_file_name_that_is_not_utf8_is_named_unless_it_is_ignored(project):
    """No zip and no JSON can carry it."""
    (project / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    with pytest.raises(InputError, match=r"not UTF-8.*caf\\xe9\.txt"):
        project_files(project)
    (project / ".amlignore").write_text("*.txt\n")
    assert "train.py" in names(project)
    assert [entry.name for entry in select(project).excluded] == ["caf\\xe9.txt"]


def test_what_the_service_collects_is_excluded_and_said(project, caplog):
    """Results of an earlier run on this machine would be registered as those of the run: folders at the top only."""
    caplog.set_level(logging.WARNING, logger="airflow_azml")
    for name in ("outputs/model.pkl", "logs/a.txt", "pkg/outputs/x.py", "watched/deep/x.txt"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("old")
    kept = ["data.csv", "pkg/model.py", "pkg/outputs/x.py", "train.py"]
    assert names(project, collected=[*COLLECTED, "watched/deep"]) == kept
    assert [record.args[0] for record in caplog.records] == ["logs/", "outputs/", "watched/deep/"]
    assert "logs/a.txt" in names(project)  # the code of a deployment
    with Bundle(project) as bundle:
        assert [file.name for file in bundle.files] == [*kept, "watched/deep/x.txt"]


def test_why_a_file_is_excluded(project):
    """Each file or folder with its rule: file, line and text, or what is never uploaded."""
    (project / ".gitignore").write_text("# data\n*.csv\npkg/\n")
    (project / "__pycache__").mkdir()
    os.mkfifo(project / "pipe")
    assert {entry.name: entry.why for entry in select(project, collected=COLLECTED).excluded} == {
        "__pycache__/": "is never uploaded",
        "data.csv": ".gitignore:2: *.csv",
        "pipe": "is no regular file",
        "pkg/": ".gitignore:3: pkg/",
    }


def test_an_entry_script_that_is_excluded_is_told_by_which_rule(project):
    """Not only that it is not there."""
    (project / ".amlignore").write_text("train.py\npkg/\n")
    with pytest.raises(InputError, match=r"is not uploaded: \.amlignore:1: train\.py"):
        project_files(project, entry_script="train.py")
    with pytest.raises(InputError, match=r"is not uploaded: \.amlignore:2: pkg/"):
        project_files(project, entry_script="pkg/model.py")


def test_a_folder_that_may_not_be_read_is_named(project, monkeypatch):
    """It is the input that is wrong, not the service."""
    iterdir = Path.iterdir

    def refuse(self):
        if self.name == "pkg":
            raise PermissionError(errno.EACCES, "Permission denied")
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"pkg': cannot be read: Permission denied"):
        project_files(project)
