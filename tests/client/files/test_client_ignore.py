"""The rules of ignore files are git's: git itself is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_azml.client.files.project import select

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge, and there is none here")

NAMES = ["a", "b", "ab", "a.py", "src", "data", "é", "a b", "c ", "[x]", "!c", "#d", "A", "foo", "foobar", "x]", "a\\b"]
PIECES = [
    *("*", "**", "***", "?", "/", "a", "b", ".py", "src", "data", "foo", "bar", "é", " ", "\t", "!", "#", "-", "\\"),
    *("\\*", "/**/", "**/", "[ab]", "[!a]", "[^b]", "[a-c]", "[c-a]", "[[:alpha:]]", "[[:foo:]]", "[]x]", "[\\]x]"),
    *("[", "]", "[a-", "[[:"),
]
PATHS = st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), min_size=1, max_size=12)
LINES = st.builds(
    lambda start, pieces, end: f"{start}{''.join(pieces)}{end}",
    st.sampled_from(["", "!", "/", "!/"]),
    st.lists(st.sampled_from(PIECES), max_size=5),
    st.sampled_from(["", "/", " ", "\r"]),
)
RULES = st.lists(LINES, min_size=1, max_size=6).map("\n".join)
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"], "HOME": "/nowhere"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """An empty repository."""
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", folder], check=True, env=GIT)
    return folder


def write(folder, paths, rules):
    """Make the folder one of these files and ignore files."""
    for entry in folder.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for path in sorted(paths):
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # it is a file and a folder: one wins
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("x")
    for below, text in rules.items():
        if (folder / below).is_dir():
            (folder / below / ".gitignore").write_bytes(text.encode())


def listed_by_git(folder):
    """Return what git would add."""
    command = ["git", "-C", folder, "ls-files", "--others", "--exclude-standard", "-z"]
    return sorted(os.fsdecode(name) for name in subprocess.check_output(command, env=GIT).split(b"\0") if name)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=PATHS, top=RULES, below=st.dictionaries(st.sampled_from(NAMES), RULES, max_size=2))
@example(paths={"src/a.py", "src/a.txt", "b.py"}, top="*\n!*/\n!*.py", below={})
@example(paths={"foobar", "foo/bar", "foo/x/bar"}, top="foo**/bar", below={})
@example(paths={"a/x", "a/b/x", "b/x"}, top="a/**/x\n!b/**", below={"a": "!/x"})
@example(paths={"é", "ab"}, top="?", below={})
@example(paths={"c ", "c"}, top="c\\ ", below={})
def test_the_same_files_as_git(repository, paths, top, below):
    """Whatever the rules, and however odd, what is uploaded is what `git ls-files` lists."""
    write(repository, paths, {".": top, **below})
    assert sorted(file.name for file in select(repository).files) == listed_by_git(repository)
