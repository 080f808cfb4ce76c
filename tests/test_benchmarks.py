"""The benchmarks run, and what they show about memory stays true. Times are theirs to print, not ours to assert."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.lifecycle import Target

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script, *options):
    """Run a benchmark in a process of its own and return the JSON object that it prints."""
    command = [sys.executable, str(BENCHMARKS / script), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_submitting_a_large_folder_holds_none_of_it_in_memory():
    """The zip is streamed from disk: a folder of 100 MB costs a few, where a body in memory costs more than all."""
    result = run("submit.py", "--megabytes", "100")
    assert result["airflow-azml"]["mb"] < 25
    assert result["requests.post(files=...)"]["mb"] > 100


def test_importing_the_operators_adds_no_package():
    """Beyond airflow.sdk there are only our own modules, and they hold less than a megabyte."""
    (ours,) = [
        cost for name, cost in run("imports.py", "--repetitions", "1").items() if name.startswith("airflow-azml")
    ]
    assert ours["mb"] < 1
    assert ours["modules"] < 25


def test_the_real_triggerer_waits_for_a_kind_that_the_client_has(monkeypatch: pytest.MonkeyPatch):
    """The arguments of its triggers are a target's; a trigger of an unknown kind would fail at its first look."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    _, arguments = importlib.import_module("triggerer")._trigger("ours", 7)
    assert hasattr(AzureMLClient, msgspec.convert(arguments["target"], Target).kind)
