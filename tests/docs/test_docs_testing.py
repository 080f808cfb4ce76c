"""docs/testing.md: its example is a project that works as it stands there, with the plugin that pytest finds itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_azml.testing import AzureMLEmulator, EmulatorError

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
FILE = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<content>.*?)^```$', re.MULTILINE | re.DOTALL)


PROXY = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"], "http://127.0.0.1:9")


def test_the_example_passes(tmp_path):
    """Every file of the page is written to a folder, in which pytest is run as a user does, be it behind a proxy.

    The proxy of this test answers nothing: the emulator and its runs are on this machine, and are reached without one.
    """
    for file in FILE.finditer(PAGE.read_text()):
        path = tmp_path / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])
    ours = ("AIRFLOW", "PYTEST", "NO_PROXY", "no_proxy")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | PROXY
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_the_plugin_costs_nothing_until_it_is_used():
    """The plugin is loaded everywhere: it brings along nothing of the package, and nothing of Airflow."""
    code = (
        "import sys, pytest; before = set(sys.modules); import airflow_azml.testing.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["airflow_azml", "airflow_azml.testing", "airflow_azml.testing.pytest_plugin"]


def test_the_helpers_of_the_fixture(azureml_emulator):
    """Faults are refused with the reason; the next test finds pace and faults as new, and no runs."""
    with pytest.raises(EmulatorError, match="400 to 599"):
        azureml_emulator.faults(status=200)
    azureml_emulator.faults(path="/nowhere", status=500)
    azureml_emulator.speed("real", compute=3)
    assert azureml_emulator._call("GET", "/_emulator/speed")["compute"] == 3
    azureml_emulator.begin()
    assert azureml_emulator._call("GET", "/_emulator/speed")["compute"] == 1
    assert azureml_emulator._call("GET", "/_emulator/faults") == {"value": []}
    assert (azureml_emulator.runs(), azureml_emulator.faults_met()) == ([], 0)
    assert azureml_emulator.ca_bundle.exists()
    assert azureml_emulator.tls_url in os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"]
    azureml_emulator.reset()


def test_an_emulator_that_does_not_start_says_why(tmp_path):
    """The log is in the error; nothing is left running."""
    (tmp_path / "data").write_text("not a folder")
    emulator = AzureMLEmulator(tmp_path)
    with pytest.raises(EmulatorError, match=r"did not start:(.|\n)*cannot be the folder of the state"):
        emulator.start()
    assert emulator._process is None
