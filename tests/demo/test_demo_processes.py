"""Programs that the demo starts and stops, as real processes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from emulator_process import wait_until

from airflow_azml.demo import processes
from airflow_azml.demo.processes import Service, ServiceError, free_port, is_free, stop

POLITE = "import time\ntry:\n    print('up', flush=True); time.sleep(600)\nexcept KeyboardInterrupt:\n    print('bye')"
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def started(script: str, folder: Path) -> Service:
    service = Service("program", [sys.executable, "-c", script], os.environ, folder / "program.log")
    service.wait_until(lambda: service.log.stat().st_size > 0, seconds=30)
    return service


def test_it_is_asked_to_end_before_it_is_killed(tmp_path: Path) -> None:
    """A program that heeds Ctrl-C comes to its own end."""
    service = started(POLITE, tmp_path)
    stop([service])
    assert service.log.read_text() == "up\nbye\n"


def test_a_program_of_a_background_job_heeds_the_interrupt_too(tmp_path: Path) -> None:
    """A shell lets its background jobs ignore Ctrl-C, which their programs would inherit."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        service = started(POLITE, tmp_path)
        stop([service])
    finally:
        signal.signal(signal.SIGINT, before)
    assert service.log.read_text() == "up\nbye\n"


def test_what_does_not_end_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    """Neither a deaf program nor its child, which has a session of its own, outlives the demo."""
    service = started(STUBBORN, tmp_path)
    child = psutil.Process(int(service.log.read_text()))
    stop([service], patience=0.1)
    with pytest.raises(ServiceError, match="exit code -9"):
        service.check()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_second_interrupt_shortens_the_wait_and_forgets_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the programs are ending kills them all, and still interrupts us."""
    services = [started(STUBBORN, tmp_path), started(STUBBORN, tmp_path)]
    monkeypatch.setattr(Service, "wait", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        stop(services)
    for service in services:
        with pytest.raises(ServiceError, match="exit code -9"):
            service.check()


def test_a_program_that_ends_too_early_is_quoted(tmp_path: Path) -> None:
    """Whoever waits for it gets its exit code and its last words."""
    script = "import sys; print('no such thing'); sys.exit(3)"
    service = Service("program", [sys.executable, "-c", script], os.environ, tmp_path / "program.log")
    with pytest.raises(ServiceError, match=r"exit code 3.\nno such thing"):
        service.wait_until(lambda: False, seconds=30)
    stop([service])


def test_a_program_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    """The wait has an end."""
    service = started(POLITE, tmp_path)
    with pytest.raises(ServiceError, match="program was not ready after 0 s"):
        service.wait_until(lambda: False, seconds=0)
    stop([service])


def test_ports_that_somebody_listens_on_are_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy port is drawn again."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        busy = listener.getsockname()[1]
        free = free_port()
        drawn = iter([busy, busy, free])

        def draw(*_: Any) -> int:
            return next(drawn)

        monkeypatch.setattr(processes.random, "randrange", draw)
        assert not is_free(busy)
        assert free_port() == free
