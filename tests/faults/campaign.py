"""The fault campaign: many pipelines on a real Airflow, over a bad network, among processes that are killed.

At the end everything is counted in the emulator itself, not through that network: every pipeline must have ended as
it should, with exactly one run per attempt, nothing left running, and no secret anywhere. The last line is one JSON
object; the exit code is 0 when all is well.

    python campaign.py [--pipelines N] [--seed SEED] [--rate RATE] [--pause SECONDS] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
import requests
import secrets_search
import verdict
from airflow_stack import AirflowStack, parsed
from cryptography.fernet import Fernet
from emulator_process import EmulatorProcess
from kills import Killer
from verdict import Left, Pipeline, Verdict

from airflow_azml.demo.airflow_settings import base_environment
from airflow_azml.demo.processes import Service, free_port, stop

HERE = Path(__file__).parent
# One of each kind comes early: a short campaign has them all.
KINDS = (
    "fault_deferred",
    "fault_sensor",
    verdict.FAILING,
    "fault_sync",
    "fault_sensor",
    "fault_deferred",
    "fault_sync",
)
PATIENCE = 300.0, 12.0  # seconds that a campaign may take: at least, and for each pipeline
FEW = 10  # pipelines
CONNECTIONS = {"azureml_default": "v2", "azureml_classic": "v1"}
PIPELINES = """
SELECT r.dag_id, r.run_id, r.state, coalesce(t.try_number, 0), trained.value ->> 'run_id',
       registered.value ->> 'model_version'
FROM dag_run r
LEFT JOIN task_instance t ON t.dag_id = r.dag_id AND t.run_id = r.run_id AND t.task_id = 'train'
LEFT JOIN xcom trained ON trained.dag_id = r.dag_id AND trained.run_id = r.run_id AND trained.task_id = 'train'
          AND trained.key = 'return_value'
LEFT JOIN xcom registered ON registered.dag_id = r.dag_id AND registered.run_id = r.run_id
          AND registered.task_id = 'register' AND registered.key = 'return_value'
ORDER BY r.run_id
"""
TASKS = "SELECT task_id, state, try_number FROM task_instance WHERE run_id = %s ORDER BY start_date"


class Campaign:
    """The services of a campaign, within a `with` block.

    :param folder: for everything that is written.
    :param seed: of all dice.
    :param rate: how many of all requests go wrong, from 0 to 1.
    """

    def __init__(self, folder: Path, seed: int, rate: float) -> None:
        self._options = ["--seed", str(seed), "--rate", str(rate)]
        self._folder = folder
        self.emulator = EmulatorProcess(folder / "emulator" / "data")
        self.proxy = f"https://127.0.0.1:{free_port()}"
        environment = {
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            # This machine is busy: what is slow must not be taken for dead.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        }
        self.stack = AirflowStack(folder / "stack", HERE / "dags", environment, parallelism=6)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as undo:
            self.emulator.data.mkdir(parents=True)
            undo.callback(self.emulator.stop)
            self.emulator.start()
            self._start_proxy(undo)
            undo.enter_context(self.stack)
            self._connect()
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def start(self, pipelines: int) -> None:
        """Start all pipelines: Airflow bounds how many are active."""
        for kind in sorted(set(KINDS)):
            parsed(self.stack.api, kind)
        for number in range(pipelines):
            kind = KINDS[number % len(KINDS)]
            body = {"logical_date": None, "dag_run_id": f"p{number:04}"}
            self.stack.api.call("POST", f"/dags/{kind}/dagRuns", json=body)
        for kind in sorted(set(KINDS)):
            self.stack.api.call("PATCH", f"/dags/{kind}", json={"is_paused": False})

    def pipelines(self) -> list[Pipeline]:
        """Return the pipelines as Airflow's database has them."""
        return [
            Pipeline(dag, run, state or "", tries, trained or "", version or "")
            for dag, run, state, tries, trained, version in self._rows(PIPELINES)
        ]

    def tasks(self, pipeline: Pipeline) -> list[str]:
        """Return a line for each task of a pipeline, with the last error of its log."""
        return [
            f"{task} {state}, {tries} tries {self._last_error(pipeline, task)}"
            for task, state, tries in self._rows(TASKS, pipeline.run_id)
        ]

    def left(self) -> Left:
        """Return what is there, as the emulator itself tells it."""
        runs: dict[str, list[dict[str, Any]]] = {}
        for run in self.emulator.control("GET", "runs").json()["value"]:
            runs.setdefault(run["experimentName"], []).append(run)
        names = [model["name"] for model in self._values("/models")]
        return Left(
            runs=runs,
            models={name: [each["name"] for each in self._values(f"/models/{name}/versions")] for name in names},
            resources=[each["name"] for kind in ("/computes", "/onlineEndpoints") for each in self._values(kind)],
            processes=[line for line in _command_lines() if str(self.emulator.data / "runs") in line],
        )

    def network(self) -> dict[str, Any]:
        """Return what the proxy tells of itself."""
        answer = requests.get(f"{self.proxy}/_emulator", verify=str(self.emulator.data / "ca.pem"), timeout=30)
        told: dict[str, Any] = answer.json()
        return told

    def secrets_found(self, known: str) -> list[str]:
        """Return a line for each place in which a secret was found that came by.

        :param known: a word that is in the database and in the logs: a search that misses it would prove nothing.
        """
        where = self.stack.database, self.stack.state
        places = " ".join(secrets_search.find({known}, *where))
        assert "table dag_run" in places, places
        assert "task_id=train" in places, places
        return secrets_search.find({self.emulator.secret, *self.network()["secrets"]}, *where)

    def _start_proxy(self, undo: ExitStack) -> None:
        command = [sys.executable, str(HERE / "proxy.py"), "--port", self.proxy.rpartition(":")[2], *self._options]
        command += ["--service", self.emulator.tls_url, "--data", str(self.emulator.data)]
        proxy = Service("proxy", command, base_environment(), self._folder / "proxy.log")
        undo.callback(stop, [proxy])
        proxy.wait_until(self._answers, 60)

    def _answers(self) -> bool:
        try:
            return bool(self.network())
        except requests.ConnectionError:
            return False

    def _connect(self) -> None:
        """Keep the connections in Airflow's database, as people do."""
        for conn_id, api in CONNECTIONS.items():
            changes = {"authority_url": self.proxy, "resource_manager_url": self.proxy, "api": api}
            connection = json.loads(self.emulator.connection(**changes))
            body = {**connection, "connection_id": conn_id, "extra": json.dumps(connection["extra"])}
            self.stack.api.call("POST", "/connections", json=body)

    def _values(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        answer = self.emulator.arm("GET", path).json()
        while True:
            found += answer.get("value", [])
            if not answer.get("nextLink"):
                return found
            answer = self.emulator.call("GET", answer["nextLink"]).json()

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg2.connect(self.stack.database) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def _last_error(self, pipeline: Pipeline, task: str) -> str:
        logs = self.stack.home / "logs" / f"dag_id={pipeline.dag_id}" / f"run_id={pipeline.run_id}" / f"task_id={task}"
        for log in sorted(logs.glob("attempt=*.log"), reverse=True):
            errors = [line for line in log.read_text(errors="replace").splitlines() if '"error"' in line]
            if errors:
                return errors[-1][:600]
        return ""


def _command_lines() -> list[str]:
    return [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]


def drive(campaign: Campaign, killer: Killer, number: int) -> None:
    """Let the pipelines go on, among kills, until all have ended or it takes too long."""
    deadline, told = time.monotonic() + PATIENCE[0] + PATIENCE[1] * number, 0.0
    while time.monotonic() < deadline:
        states = Counter(pipeline.state for pipeline in campaign.pipelines())
        if time.monotonic() - told > 10:
            told = time.monotonic()
            network = campaign.network()
            met = sum(network["faults"].values())
            say(f"{dict(states)}; {met} of {network['requests']} requests met a fault; killed {dict(killer.killed)}")
        left = number - states["success"] - states["failed"]
        if not left:
            return
        # One kill per pipeline at most, and the last ones are left alone: nothing has more deaths than tries.
        if left > min(FEW, number // 2) and killer.killed.total() < number:
            killer.strike()
        time.sleep(0.5)


def judge(campaign: Campaign, kills: int) -> Verdict:
    """Count, and say what is wrong."""
    pipelines = campaign.pipelines()
    left = campaign.left()
    for _ in range(30):  # what was asked to end needs a moment
        if not verdict.left_running(left):
            break
        time.sleep(1)
        left = campaign.left()
    wrong = {pipeline: verdict.ended_wrong(pipeline) for pipeline in pipelines}
    lost = {pipeline: verdict.lost(pipeline, left) for pipeline in pipelines}
    doubled = {pipeline: verdict.doubled(pipeline, left) for pipeline in pipelines}
    for pipeline in pipelines:
        reasons = [reason for reason in (wrong[pipeline], lost[pipeline], doubled[pipeline]) if reason]
        if reasons:
            say(f"{pipeline.dag_id} {pipeline.run_id}: {'; '.join(reasons)}", *campaign.tasks(pipeline))
    running, found = verdict.left_running(left), campaign.secrets_found(pipelines[0].run_id)
    say(*(f"left running: {name}" for name in running), *(f"secret found: {place}" for place in found))
    say(f"faults: {campaign.network()['faults']}")
    return Verdict(
        pipelines=len(pipelines),
        ended_right=sum(not reason for reason in wrong.values()),
        lost=sum(bool(reason) for reason in lost.values()),
        doubled=sum(bool(reason) for reason in doubled.values()),
        left_running=len(running),
        secrets_found=len(found),
        faults_injected=sum(campaign.network()["faults"].values()),
        kills=kills,
    )


def say(*lines: str) -> None:
    """Print lines of progress."""
    for line in lines:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main() -> int:
    """Run a campaign; return 0 when the promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--rate", type=float, default=0.12)
    parser.add_argument("--pause", type=float, default=10.0, help="mean seconds between two kills")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    say(f"seed {options.seed}: give it with --seed to throw the same dice again")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fault-campaign-"))
    say(f"everything is in {folder} until all has gone well")
    with Campaign(folder, options.seed, options.rate) as campaign:
        say(f"Airflow, the emulator and the network between them are up; {options.pipelines} pipelines")
        campaign.start(options.pipelines)
        killer = Killer(campaign.stack, options.seed, options.pause)
        drive(campaign, killer, options.pipelines)
        result = judge(campaign, sum(killer.killed.values()))
    if result.good:
        shutil.rmtree(folder)
    print(json.dumps(result.as_json()), flush=True)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
