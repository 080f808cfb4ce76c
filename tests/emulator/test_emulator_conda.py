"""Conda specifications: which PyPI packages stand for conda's, which fail, and what a conda tool is asked for."""

from __future__ import annotations

import platform
import sys

import pytest
import yaml

from airflow_azml.emulator.process import conda
from airflow_azml.emulator.process.conda import EnvironmentBuildError, read
from airflow_azml.emulator.process.venvs import VenvCache

MINOR = ".".join(platform.python_version_tuple()[:2])


@pytest.fixture(autouse=True)
def _no_conda(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def spec(*dependencies, **more):
    return {"dependencies": list(dependencies), **more}


@pytest.mark.parametrize(
    ("written", "installed"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy=1.26.4=py311h64a7726_0", "numpy==1.26.4.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.* py311_0", "numpy==1.26.*"),
        ("numpy >=1.21, <2", "numpy>=1.21,<2"),
        ("numpy!=1.25", "numpy!=1.25"),
        ("conda-forge::Pillow", "pillow"),
        ("pytorch::pytorch=2.1", "torch==2.1.*"),
        ("matplotlib-base", "matplotlib"),
        ("dask", "dask[complete]"),
    ],
)
def test_a_conda_package_is_mapped_to_pypi(written, installed):
    """Names and bounds are translated into pip's words, and the log says what is installed instead."""
    requirements = read(spec(written))
    assert requirements.packages == (installed,)
    assert (written in requirements.notes[0], installed in requirements.notes[0]) == (True, True)


@pytest.mark.parametrize(
    "written", ["numpyy=1.0", "r-base", "numpy=1.2|1.3", "numpy[version='>=1']", "numpy=x", "=", ""]
)
def test_what_has_no_counterpart_fails(written):
    """An unknown name, and a version that pip has no words for, fail the environment by name."""
    with pytest.raises(EnvironmentBuildError, match="no conda is installed") as error:
        read(spec("numpy", written))
    assert f"'{written}'" in str(error.value)


def test_pip_packages_come_last_and_this_python_needs_nothing():
    """Pip's own list is kept as it is; native libraries need nothing; another Python is named."""
    given = spec(f"python={MINOR}", "pip=24", "python>=3.8", "cudatoolkit=11.3", "scipy", {"pip": ["a==1", "-r x.txt"]})
    requirements = read(given, extra=["served"])
    assert requirements.packages == ("scipy", "a==1", "-r x.txt", "served")
    assert [note.partition("'")[2].partition("'")[0] for note in requirements.notes] == ["cudatoolkit=11.3", "scipy"]
    assert "python=2.7" in read(spec("python=2.7")).notes[0]
    assert read(spec({"pip": ["Served_http==1"]}), extra=["served-http"]).packages == ("Served_http==1",)


@pytest.mark.parametrize("given", [None, [], {}, "x", spec(), {"dependencies": None}, {"dependencies": "x"}, spec({})])
def test_a_specification_without_packages_asks_for_nothing(given):
    """Odd or empty specifications are an empty environment, not an error."""
    assert read(given) == conda.Requirements()


FAKE = """#!{python}
import subprocess, sys, pathlib
pathlib.Path({said!r}).write_text(repr(sys.argv[1:]) + open(sys.argv[sys.argv.index("--file") + 1]).read())
folder = sys.argv[sys.argv.index("--prefix") + 1]
subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
"""


def test_an_installed_conda_builds_what_needs_it(tmp_path):
    """With a conda tool, the specification goes to it as it is, and the environment that it makes is used."""
    said = tmp_path / "said"
    tool = tmp_path / "micromamba"
    tool.write_text(FAKE.format(python=sys.executable, said=str(said)))
    tool.chmod(0o755)
    requirements = read(spec("numpyy=1.0", {"pip": ["a"]}, channels=["mine"]), extra=["served"])
    python = VenvCache(tmp_path / "environments").ensure(requirements, lambda _: None)
    assert python.exists()
    arguments, _, text = said.read_text().partition("]")
    assert arguments.startswith("['create', '--yes', '--prefix',")
    assert yaml.safe_load(text) == {
        "channels": ["mine"],
        "dependencies": ["numpyy=1.0", f"python={MINOR}", "pip", {"pip": ["a", "served"]}],
    }
    assert read(spec("pip", {"pip": ["a"]})).conda == ""  # a virtual environment does, and is faster
