"""Environments: built once from pip packages, never half built; what cannot be honoured is named."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest

from airflow_azml.emulator.process.conda import EnvironmentBuildError, Requirements
from airflow_azml.emulator.process.venvs import VenvCache, masked


def wheel_source(folder, name="tinything", version="1.0"):
    """A package that needs nothing from an index."""
    package = folder / name
    package.mkdir()
    setup = f"from setuptools import setup\nsetup(name='{name}', version='{version}', py_modules=['{name}'])\n"
    (package / "setup.py").write_text(setup)
    (package / f"{name}.py").write_text("answer = 42\n")
    return package


def test_a_password_in_an_index_url_is_hidden():
    """What is logged names the host of an index, never its credentials."""
    assert masked("--index-url https://me:secret@host/simple") == "--index-url https://***@host/simple"


def test_an_environment_is_built_once_and_has_its_packages(tmp_path):
    """Two that want the same packages at the same time get one build, in which the package can be imported.

    They are two emulators that share the folder, or two runs of one.
    """
    lines, pythons = [], []
    one, other = VenvCache(tmp_path / "environments"), VenvCache(tmp_path / "environments")
    wanted = Requirements((str(wheel_source(tmp_path)),))
    threads = [
        threading.Thread(target=lambda cache: pythons.append(cache.ensure(wanted, lines.append)), args=(cache,))
        for cache in (one, one, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pythons)) == 1
    assert sum(line.startswith("Building") for line in lines) == 1
    command = [str(pythons[0]), "-c", "import tinything; print(tinything.answer)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"


def test_a_failed_build_says_why_and_leaves_nothing(tmp_path):
    """A package that does not exist ends in an error with the installer's own words; the next try starts anew."""
    cache = VenvCache(tmp_path / "environments")
    for _ in range(2):
        with pytest.raises(EnvironmentBuildError, match="no-such-folder"):
            cache.ensure(Requirements((str(tmp_path / "no-such-folder"),)), lambda _: None)
    assert [path for path in (tmp_path / "environments").iterdir() if path.suffix != ".lock"] == []


def test_stopping_ends_a_build(tmp_path):
    """A build under way ends when the emulator stops, and so does its wait."""
    package = wheel_source(tmp_path, "slow")
    started = tmp_path / "started"
    (package / "setup.py").write_text(f"import time\nopen({str(started)!r}, 'w')\ntime.sleep(600)\n")
    cache = VenvCache(tmp_path / "environments")
    errors = []

    def build() -> None:
        try:
            cache.ensure(Requirements((str(package),)), lambda _: None)
        except EnvironmentBuildError as error:
            errors.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    while not started.exists():
        time.sleep(0.1)
    cache.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert len(errors) == 1
