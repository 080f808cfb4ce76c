"""What a crash campaign looks at when all kills are over: the database, the runs, the processes and the files."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import psutil
from clients import SETTLING
from ledger import Ledger
from victim import Victim

from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.process.groups import MARK

TERMINAL = {"Completed", "Failed", "Canceled"}
ARTIFACTS = f"/_blob/{facts.STORAGE_ACCOUNT}/{facts.ARTIFACT_CONTAINER}/ExperimentRun"
CHANGING = ("compute", "endpoint", "deployment")


def settle(victim: Victim, ledger: Ledger) -> None:
    """Wait until nothing is under way; report what still is after a long time."""
    deadline = time.monotonic() + SETTLING
    while (left := under_way(victim)) and time.monotonic() < deadline:
        time.sleep(0.5)
    for what in left:
        ledger.report("stuck", what, "it is under way for ever")


def under_way(victim: Victim) -> list[str]:
    """Return all that is on its way to something."""
    documents = _documents(victim)
    active = {run["runId"] for run in documents.get("run", []) if run["status"] not in TERMINAL}
    found = [f"operation {each['id']}" for each in documents.get("operation", []) if each["status"] == "InProgress"]
    found += [f"run {run_id}" for run_id in active]
    for kind in CHANGING:
        found += [f"{kind} {each['name']}" for each in documents.get(kind, []) if each["change"]]
    nodes = [node for compute in documents.get("compute", []) for node in compute["nodes"]]
    return [*found, *(f"node of run {node['run']}" for node in nodes if node["run"])]


def judge_runs(victim: Victim, ledger: Ledger, counted: Path) -> None:
    """Report runs that are missing, ended otherwise than they should, have lost their output, or ran twice."""
    runs = {run["runId"]: run for run in _documents(victim).get("run", [])}
    for run_id, mark in ledger.runs.items():
        run = runs.get(run_id)
        if run is None or run["tags"].get("mark", "") != mark:
            ledger.report("lost", f"run {run_id}", f"it is {run}")
            continue
        started = (counted / run_id).read_text().count("ran") if (counted / run_id).exists() else 0
        if started > 1:
            ledger.report("repeated", f"run {run_id}", f"its command was started {started} times")
        if run["status"] == "Canceled" and run_id in ledger.canceled:
            continue
        output = victim.call("GET", f"{ARTIFACTS}/dcid.{run_id}/outputs/mark").text.strip()
        if (run["status"], started, output) != ("Completed", 1, mark) or not run.get("startTimeUtc"):
            ledger.report("lost", f"run {run_id}", f"started {started} times, output {output!r}, {run}")


def judge_processes(victim: Victim, ledger: Ledger, serving: set[str]) -> None:
    """Report processes that the emulator has started, in any of its lives, and that nobody needs.

    :param serving: marks of those that are needed begin with one of these.
    """
    for process in psutil.process_iter():
        mark = _mark(process)
        if mark.startswith(str(victim.data)) and not any(mark.startswith(folder) for folder in serving):
            ledger.report("orphans", mark, f"process {process}")


def end_processes(victim: Victim) -> None:
    """End all that an emulator has started which is killed for the last time."""
    for process in psutil.process_iter():
        if _mark(process).startswith(str(victim.data)):
            process.kill()


def judge_files(victim: Victim, ledger: Ledger, deployments: set[str]) -> None:
    """Report files that belong to nothing any more.

    :param deployments: those that there are.
    """
    for folder in ("runs/*", "runs/.incoming/*", "blobs/.uploads/*", "blobs/*/.uploads/*", "deployments/*/*"):
        for path in victim.data.glob(folder):
            needed = path.name == ".incoming" or f"{path.parent.name}/{path.name}" in deployments
            if not needed:
                ledger.report("litter", str(path), "it belongs to nothing")
    environments = list((victim.data / "environments").iterdir())
    built = {path.resolve() for path in environments if path.is_symlink()}
    for path in environments:
        if not path.is_symlink() and path not in built and path.suffix != ".lock":
            ledger.report("litter", str(path), "it is half an environment")


def judge_log(victim: Victim, ledger: Ledger) -> None:
    """Report tracebacks, each once."""
    text = victim.log.read_text(errors="replace")
    for part in text.split("Traceback (most recent call last)")[1:]:
        ledger.report("failures", part[-300:], f"traceback: {part[:2000]}")


def _mark(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARK, ""))
    except (psutil.Error, OSError):
        return ""


def _documents(victim: Victim) -> dict[str, list[dict[str, Any]]]:
    """Return the documents of the store by kind."""
    with sqlite3.connect(victim.data / "emulator.sqlite") as database:
        rows = database.execute("SELECT kind, body FROM documents").fetchall()
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, body in rows:
        found.setdefault(kind, []).append(json.loads(body))
    return found
