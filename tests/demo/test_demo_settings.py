"""The environment that the demo's programs are started with."""

from __future__ import annotations

import pytest

from airflow_azml.demo.airflow_settings import base_environment


@pytest.mark.parametrize("before", ["", "internal.example"])
def test_the_demos_programs_reach_each_other_without_a_proxy(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """All of them are on loopback, for which no proxy is asked; the exceptions of the user stay."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, before)
    environment = base_environment()
    for name in ("NO_PROXY", "no_proxy"):
        assert {"127.0.0.1", "localhost"} <= set(environment[name].split(","))
        assert (before in environment[name].split(",")) is bool(before)
