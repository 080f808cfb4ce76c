"""`airflow-azml doctor` and `ls` as a person runs them, against the emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_azml.cli import ls, main
from airflow_azml.client.resources.run_history import Run
from airflow_azml.hooks.azureml import AzureMLHook


@pytest.fixture
def command(emulator, monkeypatch, capsys):
    """Run a command line with the emulator's connection, and one that is changed beside it."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # the command's own change of it is undone

    def run(*arguments, **changes):
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", emulator.connection(**changes))
        code = main(list(arguments))
        printed = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err)

    return run


def test_the_program(emulator, tmp_path):
    """As a person starts it, in a process of its own: the way is open, so it exits with 0."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONN_MINE": emulator.connection()}
    line = [sys.executable, "-m", "airflow_azml.cli", "doctor", "mine"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok  ") == 12


def test_doctor_walks_the_hops(command):
    """One line a hop; exit 0 when the way is open."""
    done = command("doctor")
    assert done.returncode == 0, done.stderr
    hops = [line.split(":")[0].split("  ")[-1].strip() for line in done.stdout.splitlines()]
    way = ["connection", "token", "Resource Manager", "workspace", "discovery", "regional API", "models"]
    assert hops == [*way, "clock", "submit", "cancel", "metrics", "artifacts"]


def test_doctor_says_how_runs_are_told_apart(command, monkeypatch):
    """The namespace, and whether there is a task state store; without both, what to do."""
    said = command("doctor", "other", namespace="prod").stdout
    assert "runs are told apart by a nonce in Airflow's task state store; namespace 'prod'\n" in said
    monkeypatch.delattr("airflow.sdk.execution_time.context.TaskStateStoreAccessor")  # as on Airflow 3.2
    assert "no task state store before 3.3; namespace 'prod'\nok" in command("doctor", "other", namespace="prod").stdout
    done = command("doctor", "other")
    assert "no namespace\n        If several Airflows use the workspace, set 'namespace'" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("changes", "hop", "text"),
    [
        ({"password": "n0t-the-0ne"}, "token", "AADSTS7000215"),
        ({"workspace_name": "other"}, "workspace", "Check subscription, resource group and workspace name"),
        ({"subscription_id": "1"}, "Resource Manager", "may not see subscription 1"),
        ({"ca_bundle": ""}, "token", "certificate"),
        ({"tenant_id": "", "resource_group": ""}, "connection", "'resource_group', 'tenant_id' missing"),
        ({"authority_url": "https://127.0.0.1:9"}, "token", "can this machine reach it"),
    ],
)
def test_doctor_names_the_hop_that_fails(command, changes, hop, text):
    """With the reason and what to do; exit 1; the secret is nowhere."""
    done = command("doctor", "other", "--json", **changes)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["name"], last["ok"]) == (1, hop, False)
    assert text in last["text"] + last["remedy"]
    assert "n0t-the-0ne" not in done.stdout + done.stderr


def test_doctor_tells_of_keys_that_are_not_known(command):
    """They do no harm, but what they were meant for is not in force."""
    done = command("doctor", "other", namespaces="prod")
    assert done.returncode == 0
    assert "unknown extra 'namespaces' is ignored; did you mean 'namespace'?" in done.stdout.splitlines()[0]


def test_doctor_says_what_the_credential_may_not_do(command, emulator):
    """All of it at once, and none of the questions leaves anything behind in the workspace."""
    header = {"X-Emulator-Control": "1"}
    for path in ("/startrun$", "/artifact/"):
        fault = {"path": path, "times": 1, "status": 403, "code": "Forbidden"}
        emulator.call("POST", "/_emulator/faults", json=fault, headers=header).raise_for_status()
    done = command("doctor", "--json")
    failed = {step["name"]: step["remedy"] for step in map(json.loads, done.stdout.splitlines()) if not step["ok"]}
    assert (done.returncode, set(failed)) == (1, {"submit", "artifacts"})
    assert all("AzureML Data Scientist" in remedy for remedy in failed.values())
    assert command("ls", "runs", "--experiment", "airflow-azml-doctor").returncode == 1, "there is no such experiment"


def test_a_connection_that_is_not_there(command):
    """Said by both commands, without a traceback."""
    for arguments in (["doctor", "nope"], ["ls", "runs", "nope"]):
        done = command(*arguments)
        assert done.returncode == 1
        assert "nope" in done.stdout + done.stderr


def test_ls_prints_tables(command, emulator, cpu):
    """A table for people, JSON for programs."""
    done = command("ls", "computes")
    head, first = done.stdout.splitlines()[:2]
    assert head.split() == ["COMPUTE", "TYPE", "VM", "SIZE", "STATE", "NODES", "ERROR"]
    assert first.split()[:3] == [cpu, "AmlCompute", "STANDARD_DS3_V2"]
    (row,) = (json.loads(line) for line in command("ls", "computes", "--json").stdout.splitlines())
    assert row["compute"] == cpu
    emulator.regional("PATCH", "history/v1.0", "/experiments/e1/runs/r1", json={"runId": "r1"}).raise_for_status()
    assert "r1" in command("ls", "runs", "--experiment", "e1").stdout
    assert command("ls", "runs", "--status", "Failed").stdout == "no runs\n"
    assert command("ls", "models").stdout == "no models\n"
    assert command("ls", "endpoints").stdout == "no endpoints\n"


def test_ls_shows_how_long_runs_took_and_why_they_failed(monkeypatch, capsys):
    """On one line for people; seconds and the whole text for programs. A run that runs is counted until now."""
    times = {"startTimeUtc": "2026-03-01T10:00:00.1234567Z", "endTimeUtc": "2026-03-01T10:02:05.1234567Z"}
    error = {"error": {"code": "UserError", "message": "line 1\nline 2"}}
    found = [
        {"runId": "sad", "status": "Failed", "createdUtc": "2026-03-01T09:59:58.5Z", "error": error, **times},
        {"runId": "busy", "status": "Running", "startTimeUtc": "2026-03-01T10:00:00Z"},
        {"runId": "new", "status": "Queued"},
    ]
    history = SimpleNamespace(list=lambda *_, **__: map(Run.of, found))
    monkeypatch.setattr(ls, "hook", lambda _: SimpleNamespace(client=SimpleNamespace(runs=history)))
    assert main(["ls", "runs", "--experiment", "e"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["RUN", "EXPERIMENT", "STATUS", "COMPUTE", "CREATED", "DURATION", "ERROR"]
    [sad] = [line for line in lines if line.startswith("sad")]
    assert "  2026-03-01 09:59:58  2 min 5 s  " in sad
    assert sad.endswith("line 1 line 2")
    assert main(["ls", "runs", "--experiment", "e", "--json"]) == 0
    rows = {row["run"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["sad"]["duration"] == 125
    assert "line 1\nline 2" in rows["sad"]["error"]
    assert rows["busy"]["duration"] > 3600
    assert rows["new"]["duration"] is None


@pytest.mark.parametrize("limit", ["-5", "0", "ten"])
def test_a_limit_is_a_number_of_rows(limit, capsys):
    """Refused with the usage, before the connection is looked up."""
    with pytest.raises(SystemExit):
        main(["ls", "runs", f"--limit={limit}"])
    assert f"argument --limit: must be a whole number above 0, not '{limit}'" in capsys.readouterr().err


def test_the_hook_tests_its_connection(emulator, monkeypatch):
    """The button in Airflow's UI walks the same hops."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection())
    ok, message = AzureMLHook().test_connection()
    assert ok
    assert "local in eastus" in message
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(workspace_name="other"))
    ok, message = AzureMLHook().test_connection()
    assert not ok
    assert message.startswith("workspace: ")
