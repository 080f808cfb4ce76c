"""A real Airflow whose parts can be killed one by one: PostgreSQL, api-server, scheduler, triggerer, dag-processor.

Each part is a process with a session of its own; tasks run in the scheduler's LocalExecutor. What Airflow takes
minutes for when a part dies (noticing it), this one does in seconds. It knows nothing of Azure ML.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
from emulator_process import wait_until
from postgres_server import LOOPBACK, new_cluster

from airflow_azml.demo.airflow_api import AirflowApi
from airflow_azml.demo.airflow_settings import PASSWORD, PASSWORDS_FILE, USERNAME, airflow_settings, base_environment
from airflow_azml.demo.processes import Service, free_port, stop
from airflow_azml.demo.services import PROGRAMS

PARTS = ("api-server", "scheduler", "triggerer", "dag-processor")
WITHOUT_LOG_SERVER = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}
START = 240.0  # seconds, on a busy machine
# How soon the death of a part is noticed. Seconds, where Airflow's defaults are 30 to 300.
NOTICE = 15
QUICK = {
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": 1,
    "SCHEDULER__JOB_HEARTBEAT_SEC": 1,
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": NOTICE,
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 3,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": NOTICE,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 2,
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": 2,
    "TRIGGERER__JOB_HEARTBEAT_SEC": 1,
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": NOTICE,
    # A process that has deferred may be noticed late on a busy machine; from this our triggers know how late.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": 3,
}


class StackApi(AirflowApi):
    """Airflow's REST API, with what a person does to tasks that are under way."""

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return all that the API says of a task instance."""
        task: dict[str, Any] = self.call("GET", self._path(dag_id, run_id, task_id, map_index))
        return task

    def state(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Return a task instance's state, empty before it has one."""
        return self.task(dag_id, run_id, task_id, map_index)["state"] or ""

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, whatever its state."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task `success` or `failed`."""
        self.call("PATCH", self._path(dag_id, run_id, task_id), json={"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a dag run `success` or `failed`: its tasks are stopped."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a dag run with all its tasks."""
        self.call("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")

    @staticmethod
    def _path(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return path if map_index < 0 else f"{path}/{map_index}"


class AirflowStack:
    """Airflow, from `with` to the end of it.

    :param state: folder for everything that is written; logs of the parts and of the tasks too.
    :param dags: folder of the DAGs.
    :param environment: further environment variables of its processes, connections for example.
    :param parallelism: processes of LocalExecutor, each with about 100 MB.
    """

    def __init__(self, state: Path, dags: Path, environment: Mapping[str, str], *, parallelism: int = 4) -> None:
        self.state = state
        self.home = state / "airflow"
        self.api = StackApi(f"http://{LOOPBACK}:{free_port()}", USERNAME, PASSWORD)
        self.database_port, self._password = free_port(), secrets.token_hex(16)
        at = f"airflow:{self._password}@{LOOPBACK}:{self.database_port}/airflow"
        self.database = f"postgresql://{at}"
        quick = {f"AIRFLOW__{name}": str(value) for name, value in QUICK.items()}
        self.environment = {
            **base_environment(),
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            **airflow_settings(self.home, dags, self.api.url),
            **quick,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{at}",
            **environment,
        }
        self._parts: dict[str, Service] = {}
        self._sessions: set[int] = set()
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as undo:
            self.home.mkdir(parents=True)
            (self.home / PASSWORDS_FILE).write_text(json.dumps({USERNAME: PASSWORD}))
            self._start_database(undo)
            migrate = [PROGRAMS / "airflow", "db", "migrate"]
            done = subprocess.run(
                migrate, env=self.environment, check=False, capture_output=True, text=True, timeout=START
            )
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            self._free_rows_of_the_dead()
            undo.callback(self._stop)
            self.start(*PARTS)
            undo.callback(self.api.close)  # first of all: the api-server would wait for its open connections
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def start(self, *parts: str) -> None:
        """Start parts and wait until all of Airflow is healthy."""
        for part in parts:
            command = [str(PROGRAMS / "airflow"), part, *WITHOUT_LOG_SERVER.get(part, [])]
            log = self.state / f"{part}-{len(self._sessions)}.log"
            self._parts[part] = Service(part, command, self.environment, log)
            self._sessions.add(self._parts[part].pid)
        for part in parts:
            self._parts[part].wait_until(self.api.is_healthy, START)

    def kill(self, part: str, *, with_workers: bool = False) -> None:
        """Send SIGKILL to a part and to all its processes; to the scheduler's workers and their tasks only if asked."""
        service = self._parts.pop(part)
        if part == "scheduler" and not with_workers:
            os.kill(service.pid, signal.SIGKILL)
            service.wait(START)
        else:
            _send(signal.SIGKILL, service.pid)
            service.wait(START)

    def shut_down(self, part: str) -> None:
        """Send SIGTERM to a part and all its processes, as systemd does, and wait for its end."""
        service = self._parts.pop(part)
        _send(signal.SIGTERM, service.pid)
        service.wait(START)

    def restart(self, part: str, *, with_workers: bool = False) -> None:
        """Kill a part and start it again."""
        self.kill(part, with_workers=with_workers)
        self.start(part)

    def task_processes(
        self, dag_id: str, task_id: str, run_id: str, map_index: int = -1
    ) -> tuple[psutil.Process, psutil.Process]:
        """Return the supervisor and the process of a task that is running: both carry the task instance's id.

        LocalExecutor's worker is the supervisor while it has a task, and forks the process that executes it.
        """
        instance = str(self.api.task(dag_id, run_id, task_id, map_index)["id"])
        found = [process for process in psutil.process_iter() if instance in _title(process)]
        pids = {process.pid for process in found}
        [task] = [process for process in found if process.ppid() in pids]
        return psutil.Process(task.ppid()), task

    def kill_task(self, dag_id: str, task_id: str, run_id: str, map_index: int = -1) -> None:
        """Send SIGKILL to a task and its supervisor, as when their machine is lost."""
        for process in self.task_processes(dag_id, task_id, run_id, map_index):
            process.kill()

    def logs(self) -> str:
        """Return what all parts have printed."""
        return "\n".join(log.read_text(errors="replace") for log in sorted(self.state.glob("*.log")))

    def _start_database(self, undo: ExitStack) -> None:
        # In pytest's folders PostgreSQL's own user could not enter it.
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="postgres-")))
        folder.chmod(0o711)
        data = folder / "data"
        data.mkdir()
        login = {"user": "airflow", "password": self._password, "database": "airflow"}
        command = new_cluster(data, self.database_port, **login)
        database = Service("postgres", command, base_environment(), self.state / "postgres.log")
        undo.callback(stop, [database])
        database.wait_until(lambda: _listens(self.database_port), START)

    def _free_rows_of_the_dead(self) -> None:
        """Workers that outlive their scheduler hold its connections open, and with them the rows that it had locked.

        Not before: migrating on a busy machine may idle for longer within its transaction.
        """
        with closing(psycopg2.connect(self.database)) as connection:
            connection.autocommit = True
            connection.cursor().execute("ALTER DATABASE airflow SET idle_in_transaction_session_timeout = '15s'")

    def _stop(self) -> None:
        stop(list(self._parts.values()))
        for session in self._sessions:  # what killed parts have left behind
            _send(signal.SIGKILL, session)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return " ".join(process.cmdline())
    return ""


def _send(number: signal.Signals, session: int) -> None:
    for pid in psutil.pids():
        with suppress(ProcessLookupError):
            if os.getsid(pid) == session:
                os.kill(pid, number)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


class OtherAirflow:
    """An Airflow with a database of its own (SQLite) and no processes: it only runs `airflow dags test`.

    :param state: folder for everything that is written.
    :param dags: folder of the DAGs.
    :param environment: further environment variables.
    """

    def __init__(self, state: Path, dags: Path, environment: Mapping[str, str]) -> None:
        settings = airflow_settings(state, dags, f"http://{LOOPBACK}:{free_port()}")
        self._database = state / "airflow.db"
        self._environment = {**base_environment(), **settings, **environment}
        state.mkdir()
        self._airflow("db", "migrate")

    def test(self, dag_id: str, conf: Mapping[str, str]) -> str:
        """Run a dag run to its end and return its id."""
        self._airflow("dags", "test", dag_id, "--conf", json.dumps(conf))
        with closing(sqlite3.connect(self._database)) as database:
            ((run_id, state),) = database.execute("SELECT run_id, state FROM dag_run WHERE dag_id = ?", [dag_id])
        assert state == "success"
        return str(run_id)

    def _airflow(self, *arguments: str) -> None:
        command = [str(PROGRAMS / "airflow"), *arguments]
        done = subprocess.run(
            command, env=self._environment, check=False, capture_output=True, text=True, timeout=START
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def ended(api: StackApi, dag_id: str, run_id: str, seconds: float = 120) -> str:
    """Wait until a dag run has ended and return its state."""
    wait_until(lambda: api.run_state(dag_id, run_id) in {"success", "failed"}, seconds, every=1)
    return api.run_state(dag_id, run_id)


def parsed(api: StackApi, dag_id: str) -> None:
    """Wait until the dag-processor has read a DAG; raise AirflowApiError when files cannot be imported."""
    wait_until(lambda: api.knows(dag_id), START, every=1)
