"""The processes that run a user's code: their environment, and how their end is noticed."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from airflow_azml.emulator.process.groups import Attempt, base_environment


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


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells at once that a process has ended")
def test_the_end_of_a_command_is_noticed_at_once(tmp_path, until):
    """Who waits an hour for a command is woken by its end."""
    (tmp_path / "wd").mkdir()
    group = Attempt(tmp_path, 1).start(["cat"], {"PATH": os.defpath}, tmp_path / "log.txt")
    waiting = threading.Thread(target=group.wait, args=(3600,), daemon=True)
    waiting.start()
    until(lambda: not waiting.is_alive())
    assert not group.alive()
