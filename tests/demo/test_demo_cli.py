"""The command line, as a user types it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from emulator_process import free_port, wait_until

from airflow_azml.demo.processes import Service, stop

PROGRAM = Path(sys.executable).with_name("airflow-azml")


@pytest.mark.parametrize("arguments", [["--help"], ["emulator", "--help"], ["demo", "--help"], ["up", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """Neither Airflow nor a web framework nor a terminal library is imported to print help."""
    script = (
        "import sys, airflow_azml.cli as c\ntry:\n    c.main(sys.argv[1:])\nexcept SystemExit:\n    print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert "usage: airflow-azml" in done.stdout
    assert not {"airflow", "fastapi", "uvicorn", "rich", "httpx", "requests"} & set(done.stdout.split())


def test_a_command_is_required() -> None:
    """Nothing is started by accident."""
    done = subprocess.run([PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


def answers(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/health").is_success
    return False


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("program", [[PROGRAM, "emulator"], [sys.executable, "-m", "airflow_azml.emulator"]])
def test_the_connection_it_prints_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: list[str], *, tls: bool
) -> None:
    """What the emulator prints is a shell assignment that leads the hook to it, over HTTPS when that is served."""
    port, data = free_port(), tmp_path / "it's data"
    options = ["--port", str(port), "--data", str(data), *(["--tls-port", str(free_port())] if tls else [])]
    service = Service("emulator", [*program, *options], os.environ, tmp_path / "log")
    try:
        wait_until(lambda: answers(port))
        (assignment,) = shlex.split(service.log.read_text().splitlines()[0])
        name, _, value = assignment.partition("=")
        assert (name, '"https://127.0.0.1:' in value) == ("AIRFLOW_CONN_AZUREML_DEFAULT", tls)
        monkeypatch.setenv(name, value)
        from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - only this test needs Airflow

        ok, message = AzureMLHook().test_connection()
        assert ok, message
    finally:
        stop([service])
