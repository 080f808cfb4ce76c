"""The emulator and a real Airflow, started together and stopped together, with their state in one folder.

What Airflow knows of Azure ML is one connection, with the values that the emulator prints for its users. It is kept in
Airflow's database, so that the UI shows it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from airflow_azml.demo.airflow_api import AirflowApi
from airflow_azml.demo.airflow_settings import (
    PASSWORD,
    PASSWORDS_FILE,
    USERNAME,
    airflow_settings,
    base_environment,
)
from airflow_azml.demo.processes import Service, ServiceError, free_port, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

CONN_ID = "azureml_default"
PROGRAMS = Path(sys.executable).parent
EMULATOR_START = 30.0  # seconds
AIRFLOW_START = 240.0  # seconds; a laptop needs 30, a busy CI machine with two cores more than 100

# `airflow standalone` starts its parts by the name of `airflow`. Their log servers listen on every interface and cannot
# be told otherwise, and are of no use here: the api-server reads the log files itself.
AIRFLOW_WITHOUT_LOG_SERVERS = """\
#!/bin/sh
case "$1" in scheduler|triggerer) set -- "$@" --skip-serve-logs ;; esac
exec {airflow} "$@"
"""


class Services:
    """The emulator and Airflow, from `with` to the end of it.

    Airflow's database is a new one each time, so that nothing half done of an earlier run is taken up. The emulator
    keeps its state, and with it the environments that it has built.

    :param state: folder for everything that is written.
    :param dags: folder of the DAGs.
    :param settings: further environment variables of Airflow.
    :param ui_port: where Airflow answers; any free port when 0.
    :param on_stop: called before they are stopped, also while they are still starting.

    Raises ServiceError when one does not come up.
    """

    def __init__(
        self,
        state: Path,
        dags: Path,
        *,
        settings: Mapping[str, str] | None = None,
        ui_port: int = 0,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.state = state.resolve()
        self.dags = dags.resolve()
        self.emulator_data = self.state / "emulator"
        self.emulator_port, self.emulator_tls_port = free_port(), free_port()
        self.emulator_url = f"http://127.0.0.1:{self.emulator_port}"
        self.emulator_tls_url = f"https://127.0.0.1:{self.emulator_tls_port}"
        self.airflow = AirflowApi(f"http://127.0.0.1:{ui_port or free_port()}", USERNAME, PASSWORD)
        self._settings = {
            **airflow_settings(self.state / "airflow", self.dags, self.airflow.url),
            **(settings or {}),
        }
        self._on_stop = on_stop
        self._services: list[Service] = []
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as undo:
            self.state.mkdir(parents=True, exist_ok=True)
            undo.enter_context(_only_one(self.state / "lock"))
            undo.callback(self.airflow.close)
            undo.callback(stop, self._services)
            undo.callback(self._on_stop)
            self.start_emulator()
            self.start_airflow()
            self._exit = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exit.__exit__(kind, error, at)

    @property
    def connection_line(self) -> str:
        """The connection as a shell takes it: what the emulator has printed."""
        lines = (self.state / "emulator.log").read_text().splitlines()
        return next(line for line in lines if line.startswith("AIRFLOW_CONN_"))

    @property
    def connection(self) -> str:
        """The value of the connection, as JSON."""
        return shlex.split(self.connection_line)[0].partition("=")[2]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Airflow's processes, in which `airflow` commands work as well."""
        environment = base_environment()
        path = os.pathsep.join([str(self.state / "bin"), str(PROGRAMS), environment.get("PATH", "")])
        return {**environment, "PATH": path, **self._settings}

    def start_emulator(self) -> None:
        """Start the emulator and wait until it answers."""
        ports = ["--port", str(self.emulator_port), "--tls-port", str(self.emulator_tls_port)]
        command = [sys.executable, "-m", "airflow_azml.emulator", *ports, "--data", str(self.emulator_data)]
        emulator = self._start("emulator", command, base_environment())
        emulator.wait_until(self._emulator_answers, EMULATOR_START)

    def start_airflow(self) -> None:
        """Start Airflow with a new database and wait until all its parts are up."""
        home = self.state / "airflow"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        (home / PASSWORDS_FILE).write_text(json.dumps({USERNAME: PASSWORD}))
        self._write_airflow_command()
        airflow = self._start("airflow", [str(PROGRAMS / "airflow"), "standalone"], self.environment)
        airflow.wait_until(self.airflow.is_healthy, AIRFLOW_START)
        self.airflow.add_connection(CONN_ID, json.loads(self.connection), self.emulator_tls_url)

    def check(self) -> None:
        """Raise ServiceError when one of them has ended."""
        for service in self._services:
            service.check()

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> Service:
        service = Service(name, command, environment, self.state / f"{name}.log")
        self._services.append(service)
        return service

    def _emulator_answers(self) -> bool:
        try:
            return httpx.get(f"{self.emulator_url}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _write_airflow_command(self) -> None:
        command = self.state / "bin" / "airflow"
        command.parent.mkdir(exist_ok=True)
        command.write_text(AIRFLOW_WITHOUT_LOG_SERVERS.format(airflow=shlex.quote(str(PROGRAMS / "airflow"))))
        command.chmod(0o755)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Let nobody else use the folder meanwhile."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(f"The folder {lock.parent} is in use: another demo is running there.") from None
        yield
