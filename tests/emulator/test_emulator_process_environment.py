"""The environment of the processes that run a user's code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_azml.emulator.process.groups import base_environment


@pytest.mark.parametrize(
    ("name", "before"), [("NO_PROXY", "internal.example"), ("no_proxy", "internal.example"), ("", "")]
)
def test_a_script_reaches_the_emulator_without_a_proxy(monkeypatch, name, before):
    """A proxy is passed on for packages and data, but never used for loopback; the exceptions of the user stay."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    if name:
        monkeypatch.setenv(name, before)
    environment = base_environment(Path(sys.executable))
    assert environment["HTTPS_PROXY"] == "http://proxy.example:3128"
    for variable in ("NO_PROXY", "no_proxy"):
        hosts = environment[variable].split(",")
        assert {"127.0.0.1", "localhost"} <= set(hosts)
        assert (before in hosts) is bool(before)
