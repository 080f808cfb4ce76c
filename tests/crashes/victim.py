"""The emulator that a crash campaign kills: forked from a process that has imported it, so that it starts at once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import requests
from emulator_process import EmulatorProcess

from airflow_azml.emulator.__main__ import main
from airflow_azml.emulator.control.crash import VARIABLE

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["airflow_azml.emulator.host.server", "airflow_azml.emulator.host.emulator"])


@dataclass
class Victim(EmulatorProcess):
    """An emulator that can be started, killed and started again."""

    lives: list[BaseProcess] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """The file that all its lives write to."""
        return self.data.parent / "emulator.log"

    def launch(self, crash: str = "") -> BaseProcess:
        """Start it.

        :param crash: the commit at which it kills itself, as `before:7`.
        """
        options = ["--port", str(self.port), "--data", str(self.data)]
        options += ["--environments", str(self.data / "environments")]  # not those of all tests
        life = _CONTEXT.Process(target=_live, args=(options, self.secret, crash, self.log), daemon=False)
        life.start()
        self.lives.append(life)
        return life

    def serves(self) -> bool:
        """Wait until it answers; tell whether it does, for it may end instead."""
        life = self.lives[-1]
        while life.is_alive():
            try:
                if requests.get(f"{self.url}/health", timeout=30).ok:
                    return True
            except requests.RequestException:
                time.sleep(0.05)
        return False

    def end(self) -> int | None:
        """Kill it, if it has not died already; return its exit code."""
        life = self.lives[-1]
        life.kill()
        life.join()
        return life.exitcode

    def stop(self) -> None:
        """End it as a person does."""
        for life in self.lives[-1:]:
            life.terminate()
            life.join(60)
            life.kill()


def _live(options: list[str], secret: str, crash: str, log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ |= {"AZUREML_EMULATOR_SECRET": secret, VARIABLE: crash}
    sys.exit(main(options))
