"""The wheel and the source distribution: what is in them, and the wheel alone in clean environments.

The environments are kept in .cache; `make smoke` tries the oldest Airflow and the newest Python that are supported.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from emulator_process import EmulatorProcess

from airflow_azml.demo.airflow_settings import base_environment
from airflow_azml.provider_info import CONNECTION_FIELDS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "smoke"
pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Clean:
    """An environment with nothing but Airflow and the wheel.

    :param python: version of the interpreter.
    :param airflow: which Airflow.
    :param constraints: whether it gets the versions that we test with, or the newest.
    """

    python: str
    airflow: str
    constraints: bool = True

    @property
    def bin(self) -> Path:
        return CACHE / f"{self.python}-{self.airflow.strip('=.*')}" / "bin"

    @property
    def package(self) -> Path:
        """Where the wheel's package is."""
        return self.bin.parent / "lib" / f"python{self.python}" / "site-packages" / "airflow_azml"

    def install(self, wheel: Path) -> None:
        """Make it, unless it is in the cache, and put this wheel into it."""
        if not (self.bin / "airflow").exists():
            shutil.rmtree(self.bin.parent, ignore_errors=True)
            self._make()
            pinned = ["--constraint", str(ROOT / "constraints.txt")] if self.constraints else []
            self._pip("install", *pinned, f"{wheel}[demo]", f"apache-airflow{self.airflow}")
        self._pip("install", "--force-reinstall", "--no-deps", str(wheel))

    def check(self) -> None:
        """Fail when packages do not fit each other."""
        self._pip("check")

    def run(self, program: str, *arguments: str, home: Path, **variables: str) -> str:
        """Run one of its programs far away from the checkout, and return what it printed."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        environment = base_environment() | {"PATH": path, "AIRFLOW_HOME": str(home)} | variables
        environment |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags")}
        return _run([str(self.bin / program), *arguments], cwd=home, env=environment)

    def _make(self) -> None:
        python = interpreter(self.python)
        if not python:
            pytest.skip(f"there is no Python {self.python} on this machine")
        make = ["uv", "venv", "--quiet", "--python", python] if shutil.which("uv") else [python, "-m", "venv"]
        _run([*make, str(self.bin.parent)])

    def _pip(self, verb: str, *arguments: str) -> None:
        python = str(self.bin / "python")
        uv = ["uv", "pip", verb, "--python", python]
        _run([*(uv if shutil.which("uv") else [python, "-m", "pip", verb]), *arguments])


TESTED = Clean("3.11", "==3.3.2")
OLDEST = Clean("3.11", "==3.1.*", constraints=False)
NEWEST_PYTHON = Clean("3.13", "==3.3.2")
DISCOVERED = {  # by `airflow providers ...`
    "list": "airflow-azml",
    "hooks": "airflow_azml.hooks.azureml.AzureMLHook",
    "links": "airflow_azml.links.azureml.AzureMLStudioLink",
}


def interpreter(version: str) -> str | None:
    """Return a Python of this version: on PATH, or one of pyenv's, whose shims answer only when chosen."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(versions.glob(f"{version}.*/bin/python")))]
    return next((path for path in candidates if path and _answers(path)), None)


def _answers(python: str) -> bool:
    return subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0


def _run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution, built as `make dist` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    _run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)])
    return folder


@pytest.fixture(
    scope="module",
    params=[
        TESTED,
        pytest.param(OLDEST, marks=pytest.mark.smoke),
        pytest.param(NEWEST_PYTHON, marks=pytest.mark.smoke),
    ],
    ids=lambda clean: f"python{clean.python}-airflow{clean.airflow}",
)
def clean(request: pytest.FixtureRequest, dist: Path) -> Clean:
    """A clean environment with the wheel."""
    [wheel] = dist.glob("*.whl")
    request.param.install(wheel)
    return request.param


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    """Every file of the package and of the example DAGs that git knows, the licence and the mark that it is typed."""
    [wheel] = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = set(_run(["git", "ls-files", "airflow_azml"], cwd=ROOT).split())
    examples = set(_run(["git", "ls-files", "dags"], cwd=ROOT).split())
    assert tracked | {f"airflow_azml/example_{name}" for name in examples} == {
        name for name in names if ".dist-info/" not in name
    }
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"airflow_azml"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "airflow_azml/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


def test_the_source_distribution_can_be_worked_with(dist: Path) -> None:
    """It has what building, testing and running in containers takes, and nothing that git ignores."""
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "pyproject.toml",
        "constraints.txt",
        "LICENSE",
        "README.md",
        "Makefile",
        "docker-compose.yaml",
        "Dockerfile",
    }
    assert wanted <= names
    assert {"airflow_azml", "dags", "tests"} <= {name.split("/")[0] for name in names}
    assert not [name for name in names if name.split("/")[0] in {".env", ".venv", ".cache", ".demo", ".git"}]


def test_airflow_finds_the_provider(clean: Clean, tmp_path: Path) -> None:
    """`airflow providers` lists the provider, its hook and its link."""
    listed = {
        what: clean.run("airflow", "providers", what, "-o", "json", home=tmp_path)
        for what in ("list", "hooks", "links")
    }
    assert '"airflow-azml"' in listed["list"]
    assert "airflow_azml.hooks.azureml.AzureMLHook" in listed["hooks"]
    assert "airflow_azml.links.azureml.AzureMLStudioLink" in listed["links"]


def probed(clean: Clean, home: Path) -> dict[str, Any]:
    """Return what Airflow finds of the wheel."""
    found: dict[str, Any] = json.loads(clean.run("python", str(HERE / "probe.py"), home=home).splitlines()[-1])
    return found


def test_everything_imports_and_the_form_is_complete(clean: Clean, tmp_path: Path) -> None:
    """All modules that Airflow is told about import, and the UI gets every field of the connection as described."""
    found = probed(clean, tmp_path)
    assert found["airflow"].startswith(clean.airflow.strip("=*"))
    assert found["python"].startswith(clean.python)
    assert Path(found["file"]).is_relative_to(clean.bin.parent)
    assert found["modules"]
    assert set(found["fields"]) == set(CONNECTION_FIELDS)
    for name, field in CONNECTION_FIELDS.items():
        assert found["fields"][name].items() >= field["schema"].items()
    assert (found["login"], found["host hidden"]) == ("Client ID", True)


def test_the_command_line_answers(clean: Clean, tmp_path: Path) -> None:
    """`airflow-azml --help` needs nothing but the wheel."""
    assert "emulator" in clean.run("airflow-azml", "--help", home=tmp_path)


def test_the_examples_come_with_the_wheel(clean: Clean, tmp_path: Path) -> None:
    """Airflow imports every example DAG from the installed package, where the demo looks for them."""
    found = probed(clean, tmp_path)
    assert (Path(found["examples"]), found["import errors"]) == (clean.package / "example_dags", {})
    names = ("cleanup", "download", "first", "sweep", "train_deploy_cleanup")
    assert found["dags"] == [f"azureml_{name}" for name in names]


@pytest.mark.smoke
def test_the_demo_runs_from_the_wheel(clean: Clean, tmp_path: Path) -> None:
    """`airflow-azml demo`, far away from the checkout, runs the example DAG to its end and leaves nothing."""
    said = clean.run("airflow-azml", "demo", home=tmp_path)
    assert "the emulator has no compute and no endpoint left" in said


def test_packages_fit_each_other(clean: Clean) -> None:
    """`pip check` has nothing to say."""
    clean.check()


@pytest.mark.smoke
def test_operators_run(clean: Clean, emulator: EmulatorProcess, tmp_path: Path) -> None:
    """A DAG with synchronous and deferred operators and a sensor runs to success on the emulator."""
    project = tmp_path / "dags" / "project"
    project.mkdir(parents=True)
    (project / "train.py").write_text("print('trained')")
    file = shutil.copy(HERE / "smoke_dag.py", project.parent)
    clean.run("airflow", "db", "migrate", home=tmp_path)
    said = clean.run("python", file, home=tmp_path, AIRFLOW_CONN_AZUREML_DEFAULT=emulator.connection())
    assert json.loads(said.splitlines()[-1]) == dict.fromkeys(("create", "run", "wait", "delete"), "success")
