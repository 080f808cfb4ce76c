"""Runs, started by tasks on a real emulator: waited for, deferred, adopted, retried, cleared, killed, timed out."""

from __future__ import annotations

import os
import re
import signal
import traceback
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from emulator_process import wait_until

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.resources.run import Runs
from airflow_azml.client.transport.errors import OperationFailedError
from airflow_azml.operators.run import AzureMLCancelRunOperator, AzureMLStartRunOperator
from airflow_azml.runtime.kill import KEY
from airflow_azml.triggers import patience

WRITES = """
import os, pathlib, sys
print("arguments", sys.argv[1:])
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/result.txt").write_text(os.environ["AZUREML_RUN_ID"])
"""
SLEEPS = "import time\nprint('asleep', flush=True)\ntime.sleep(600)\n"
IGNORES_TERM = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"
RAISES = "raise ValueError('the data has no rows')\n"


@pytest.fixture
def start(airflow, cpu, _stop_runs):
    """Start a run as one try of one task."""

    def start(fields, **more):
        return airflow.run(AzureMLStartRunOperator, **{"compute_name": cpu, **fields, **more})

    return start


@pytest.fixture
def runs(emulator):
    """Return the experiment's runs in the emulator: their statuses by id."""

    def runs(fields):
        path = f"/experiments/{fields['experiment_name']}/runs:query"
        rows = emulator.regional("POST", "history/v1.0", path, json={}).json()["value"]
        return {row["runId"]: row["status"] for row in rows}

    return runs


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_run_is_started_and_waited_for(airflow, start, project, runs, deferrable):
    """The script has run, and its id, status, times and metrics are in XCom as plain JSON."""
    fields = project(WRITES, arguments=["--day", "{{ run_id }}"])
    outcome = start(fields, deferrable=deferrable)
    assert outcome.state == ("deferred" if deferrable else "success"), outcome.error
    assert outcome.xcom["azureml_studio_link"].startswith("https://ml.azure.com/runs/shop-task-")
    result = airflow.finish(outcome).result
    assert (result["status"], result["experiment_name"]) == ("Completed", fields["experiment_name"])
    assert (result["metrics"], runs(fields)) == ({}, {result["run_id"]: "Completed"})
    assert result["started"] < result["ended"]
    assert result["studio_url"] == outcome.xcom["azureml_studio_link"]


def test_a_definition_file_beside_the_dag_is_rendered(airflow, start, project, emulator, tmp_path):
    """Templates in the file see the task's context; the log shows what the script was given."""
    (tmp_path / "run.json").write_text(
        '{"configuration": {"script": "train.py", "arguments": ["{{ params.trees }}", "{{ ti.task_id }}"],'
        ' "environment": {"python": {"userManagedDependencies": true}}}}'
    )
    airflow.params["trees"] = 7
    result = start(project(WRITES), run_definition="run.json").result
    details = emulator.regional("GET", "history/v1.0", f"/runs/{result['run_id']}/details").json()
    assert "arguments ['7', 'task']" in emulator.call("GET", details["logFiles"]["user_logs/std_log.txt"]).text


def test_a_run_that_nobody_waits_for_is_told_by_its_id(start, project):
    """Without waiting, the id is there for a sensor; the other keys are there too, but nothing is claimed."""
    waited = start(project(WRITES)).result
    result = start(project(SLEEPS), task_id="other", wait_for_completion=False).result
    assert set(result) == set(waited)
    assert {key for key in result if result[key] is not None} == {"run_id", "experiment_name", "studio_url"}


def test_a_try_that_died_is_taken_up_by_the_next(start, project, runs):
    """A worker that died after submitting leads back to the same run: there is one, not two."""
    fields = project(WRITES)
    first = start(fields, wait_for_completion=False, retries=1).result
    second = start(fields, try_number=2, retries=1).result
    assert second["run_id"] == first["run_id"]
    assert runs(fields) == {first["run_id"]: "Completed"}


def test_a_failed_run_is_followed_by_a_new_one(start, project, runs):
    """A retry after a failure is a new run; the failed one is left as it is."""
    fields = project(RAISES)
    first = start(fields, retries=1)
    assert first.state == "up_for_retry"
    assert isinstance(first.error, OperationFailedError)
    second = start(project(WRITES) | {"experiment_name": fields["experiment_name"]}, try_number=2, retries=1)
    assert second.result["status"] == "Completed"
    assert sorted(runs(fields).values()) == ["Completed", "Failed"]


def test_a_cleared_task_is_a_new_run(start, project, runs):
    """A person who clears the task wants it done again, though the first run completed."""
    fields = project(WRITES)
    first = start(fields, retries=1).result
    # Airflow sets max_tries to the tries so far plus the task's retries when a task is cleared.
    second = start(fields, retries=1, try_number=2, max_tries=2).result
    assert second["run_id"] != first["run_id"]
    assert list(runs(fields).values()) == ["Completed", "Completed"]


def test_two_dag_runs_do_not_share_a_run(airflow, start, project, runs):
    """The same task in another DAG run is another run."""
    fields = project(WRITES)
    start(fields)
    airflow.run_id += "-again"
    start(fields)
    assert list(runs(fields).values()) == ["Completed", "Completed"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failing_script_ends_with_its_traceback_in_the_exception(airflow, start, project, deferrable):
    """The exception names the run, the service's reason, the page in studio and the script's own traceback."""
    outcome = airflow.finish(start(project(RAISES), deferrable=deferrable, stream_logs=False))
    assert (outcome.state, type(outcome.error)) == ("failed", OperationFailedError)
    said = str(outcome.error)
    assert said.startswith("run shop-task-")
    assert "See https://ml.azure.com/runs/shop-task-" in said
    assert "Traceback (most recent call last):" in said
    assert "ValueError: the data has no rows" in said


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_traceback_that_was_streamed_is_not_repeated(airflow, start, project, deferrable, caplog):
    """It stands in the task's log once: the exception keeps its last line, and shows no frame of ours."""
    caplog.set_level("INFO")
    outcome = airflow.finish(start(project(RAISES), deferrable=deferrable))
    said = str(outcome.error)
    assert ("Traceback" in said, "Last" in said) == (False, False)
    assert said.count("ValueError: the data has no rows") == 1
    assert [one.message for one in caplog.records].count("ValueError: the data has no rows") == 1
    frames = [frame.filename for frame in traceback.extract_tb(outcome.error.__traceback__)]
    assert [name for name in frames if "airflow_azml" in name] == []
    assert outcome.error.__cause__ is None


def test_a_killed_task_cancels_its_run(start, project, runs):
    """Airflow's own execution timeout kills the task: the run is seen canceled, not left burning."""
    fields = project(SLEEPS)
    outcome = start(fields, execution_timeout=timedelta(seconds=4))
    assert isinstance(outcome.error, AirflowTaskTimeout)
    assert list(runs(fields).values()) == ["Canceled"]


@pytest.mark.parametrize(("after_work", "left"), [(True, {"Canceled"}), (False, set())])
def test_a_task_that_is_killed_while_it_submits_leaves_nothing_running(
    start, project, emulator, runs, after_work, left
):
    """The POST is broken off: if the service had understood it by then, its run is seen canceled."""
    fault = {"path": "/startrun", "method": "POST", "delay": 5, "afterWork": after_work}
    emulator.control("POST", "faults", json=fault).raise_for_status()
    fields = project(SLEEPS)
    outcome = start(fields, execution_timeout=timedelta(seconds=3))
    assert isinstance(outcome.error, AirflowTaskTimeout)
    assert set(runs(fields).values()) == left


@pytest.mark.parametrize(
    ("state", "left"),
    [("up_for_retry", "Running"), ("deferred", "Running"), ("failed", "Canceled"), ("restarting", "Canceled")],
)
def test_a_process_that_airflow_has_given_up_leaves_the_run_to_the_next(airflow, start, project, runs, state, left):
    """It is killed as one that a person has stopped, but the task goes on, and with it the run."""
    airflow.states["task"] = state
    fields = project(SLEEPS)
    start(fields, execution_timeout=timedelta(seconds=4), retries=1)
    assert list(runs(fields).values()) == [left]


def test_a_process_leaves_the_run_to_another_that_has_claimed_the_task(airflow, start, project, runs, monkeypatch):
    """The next try runs already: it has taken up the run."""
    fields = project(SLEEPS)

    def look(client, target):
        airflow.xcoms["task"][KEY] = "another process"
        return real(client, target)

    real = AzureMLClient.look
    monkeypatch.setattr(AzureMLClient, "look", look)
    start(fields, execution_timeout=timedelta(seconds=4), retries=1)
    assert list(runs(fields).values()) == ["Running"]


@pytest.mark.parametrize(("state", "left"), [("up_for_retry", "Running"), ("failed", "Canceled")])
def test_a_process_may_be_killed_while_it_talks_to_its_supervisor(
    airflow, start, project, runs, monkeypatch, state, left
):
    """The signal's handler is in the way of the answer: what the kill has to ask and to do waits for its end."""
    airflow.states["task"] = state
    fields = project(SLEEPS)

    def look(client, target):
        if real(client, target).phase == "active":
            with airflow.line:
                os.kill(os.getpid(), signal.SIGTERM)
        return real(client, target)

    real = AzureMLClient.look
    monkeypatch.setattr(AzureMLClient, "look", look)
    outcome = start(fields, retries=1)
    assert outcome.state == "up_for_retry"
    assert {"Running": "it goes on", "Canceled": "it was cancelled"}[left] in str(outcome.error)
    assert list(runs(fields).values()) == [left]


def test_an_interrupt_of_airflow_dags_test_cancels_the_run(start, project, runs, monkeypatch):
    """Ctrl-C is no signal of Airflow's, but whoever tries a DAG by hand ends it so."""
    fields = project(SLEEPS)

    def look(client, target):
        if (seen := real(client, target)).phase == "active" and "KeyboardInterrupt" not in said:
            said.append("KeyboardInterrupt")
            raise KeyboardInterrupt
        return seen

    said, real = [], AzureMLClient.look
    monkeypatch.setattr(AzureMLClient, "look", look)
    assert isinstance(start(fields).error, KeyboardInterrupt)
    assert list(runs(fields).values()) == ["Canceled"]


def test_a_task_that_is_killed_before_it_submits_starts_nothing(start, project, emulator, monkeypatch):
    """It has five seconds, which may be over before anybody could cancel what it starts in them."""
    fields = project(SLEEPS)

    def find(runs, *names):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(runs, *names)

    real = Runs.find
    monkeypatch.setattr(Runs, "find", find)
    outcome = start(fields)
    every = emulator.control("GET", "runs").json()["value"]
    assert [run for run in every if run["experimentName"] == fields["experiment_name"]] == []
    assert "its task was killed before it was started" in str(outcome.error)


def test_a_killed_task_may_leave_its_run(start, project, runs, until):
    """cancel_on_kill=False is for runs that somebody else looks after; a retry finds the run again."""
    fields = project(SLEEPS)
    killed = start(fields, execution_timeout=timedelta(seconds=4), cancel_on_kill=False, retries=1)
    assert isinstance(killed.error, AirflowTaskTimeout)
    (run_id,) = runs(fields)
    until(lambda: runs(fields)[run_id] == "Running")
    again = start(fields, wait_for_completion=False, cancel_on_kill=False, try_number=2, retries=1)
    assert again.result["run_id"] == run_id


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_timeout_cancels_the_run(airflow, start, project, runs, deferrable):
    """The deadline lives in the wait itself, so that a deferred task gets its chance to cancel."""
    fields = project(SLEEPS)
    outcome = airflow.finish(start(fields, run_timeout=2, deferrable=deferrable, stream_logs=False))
    assert isinstance(outcome.error, TimeoutError)
    assert "had not ended after running for 2 s; it is Canceled now" in str(outcome.error)
    assert "\nSee https://ml.azure.com/runs/shop-task-" in str(outcome.error)
    assert str(outcome.error).endswith("\nLast 1 lines of its log:\nasleep")
    assert list(runs(fields).values()) == ["Canceled"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_run_that_does_not_begin_in_time_is_cancelled(airflow, start, project, runs, deferrable, busy):
    """`queue_timeout` ends a wait for nodes that others hold; the time to run is not touched by it."""
    fields = project(WRITES)
    outcome = airflow.finish(start(fields, queue_timeout=2, run_timeout=600, compute_name=busy, deferrable=deferrable))
    assert isinstance(outcome.error, TimeoutError)
    assert "had not begun to run after 2 s; it is Canceled now" in str(outcome.error)
    assert list(runs(fields).values()) == ["Canceled"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_run_in_the_queue_gives_signs_of_life(airflow, start, project, busy, monkeypatch, caplog, capsys, deferrable):
    """In a worker and in the triggerer alike, ever more rarely, with what the run waits for."""
    caplog.set_level("INFO")
    monkeypatch.setattr(patience, "FIRST", 1.0)
    fields = project(WRITES)
    airflow.finish(start(fields, queue_timeout=8, compute_name=busy, deferrable=deferrable))
    worker, triggerer = capsys.readouterr().out.splitlines(), [one.getMessage() for one in caplog.records]
    lines = [line for line in (triggerer if deferrable else worker) if "still Queued" in line]
    seconds = [int(re.search(r"still Queued after (\d+) s", line)[1]) for line in lines]
    gaps = [after - before for before, after in pairwise([0, *seconds])]
    assert len(gaps) > 1
    assert gaps == sorted(gaps)
    assert all("busy" in line for line in lines)


@pytest.fixture
def busy(emulator, start, project, until):
    """A compute whose only node is taken."""
    spec = {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
    body = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": spec}}
    emulator.arm("PUT", "/computes/busy", json=body).raise_for_status()
    emulator.arm("GET", "/computes/busy").raise_for_status()
    until(lambda: emulator.arm("GET", "/computes/busy").json()["properties"]["provisioningState"] == "Succeeded")
    start(project(SLEEPS), task_id="other", compute_name="busy", wait_for_completion=False)
    return "busy"


def test_the_service_is_told_the_timeout_too(start, project, emulator):
    """Should worker, triggerer and scheduler all be gone, the service itself ends the run; not one that is detached."""
    said = {}
    for cancel in (True, False):
        fields = {"run_timeout": 60, "cancel_on_kill": cancel, "wait_for_completion": False, "task_id": f"t{cancel}"}
        run_id = start(project(WRITES), **fields).result["run_id"]
        details = emulator.regional("GET", "history/v1.0", f"/runs/{run_id}/details").json()
        said[cancel] = details["runDefinition"].get("maxRunDurationSeconds")
    assert said == {True: 360, False: None}


def test_what_a_dead_worker_left_running_is_cancelled_when_its_task_is_cleared(start, project, runs):
    """Nobody told the run that its task was given up; the new run does not burn beside it."""
    fields = project(SLEEPS)
    tries = [start(fields, wait_for_completion=False, retries=1, **server).result["run_id"] for server in (
        {"try_number": 1, "max_tries": 1},
        {"try_number": 2, "max_tries": 2},  # cleared after the first try
        {"try_number": 4, "max_tries": 4},  # a retry, then cleared again
    )]  # fmt: skip
    assert len(set(tries)) == 3
    assert [runs(fields)[run_id] for run_id in tries[:2]] == ["Canceled", "Canceled"]
    assert runs(fields)[tries[2]] != "Canceled"


def test_a_detached_run_is_left_running_when_its_task_is_cleared(start, project, runs):
    """Whoever detaches looks after the runs himself."""
    fields = {**project(SLEEPS), "wait_for_completion": False, "cancel_on_kill": False}
    start(fields)
    start(fields, try_number=2, max_tries=1)
    assert "Canceled" not in runs(fields).values()


def test_a_run_that_is_being_cancelled_is_not_adopted(start, project, emulator, runs):
    """A task that was cleared while it ran starts again at once: its former run may not have ended yet."""
    fields = {**project(IGNORES_TERM), "wait_for_completion": False}
    first = start(fields).result["run_id"]
    wait_until(lambda: runs(fields)[first] == "Running")
    (run,) = (one for one in emulator.control("GET", "runs").json()["value"] if one["runId"] == first)
    emulator.call("POST", run["cancelUri"]).raise_for_status()
    assert runs(fields)[first] == "CancelRequested"
    assert start(fields, try_number=2).result["run_id"] != first


TALKS = """
import time
for number in range(6):
    print("line", number, flush=True)
    time.sleep(0.5)
print("no end", end="")
"""


@pytest.mark.parametrize("deferrable", [False, True])
def test_what_the_run_prints_is_in_the_tasks_log_while_it_runs(airflow, start, project, caplog, deferrable):
    """Each line once and in order, some of them before the run's end: synchronously and through the trigger."""
    caplog.set_level("INFO")
    result = airflow.finish(start(project(TALKS), deferrable=deferrable)).result
    shown = [record for record in caplog.records if record.name == "airflow_azml.client.resources.run_log"]
    assert [record.message for record in shown] == [*(f"line {number}" for number in range(6)), "no end"]
    assert shown[0].created < datetime.fromisoformat(result["ended"]).timestamp()


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_log_may_be_left_where_it_is(airflow, start, project, caplog, deferrable):
    """`stream_logs=False` shows nothing and asks for nothing."""
    caplog.set_level("INFO")
    assert airflow.finish(start(project(TALKS), deferrable=deferrable, stream_logs=False)).state == "success"
    assert not [record for record in caplog.records if record.name == "airflow_azml.client.resources.run_log"]


def test_cancelling_a_run_is_a_task_of_its_own(airflow, start, project, runs):
    """The task succeeds when the run is seen canceled; a second time finds it ended and leaves it."""
    fields = project(SLEEPS)
    run_id = start(fields, wait_for_completion=False).result["run_id"]
    for _ in range(2):
        result = airflow.run(AzureMLCancelRunOperator, task_id="cancel", run_id=run_id).result
        assert (result["run_id"], result["status"]) == (run_id, "Canceled")
    assert runs(fields) == {run_id: "Canceled"}


def test_a_compute_that_is_not_there_fails_the_task_at_once(start, project):
    """The service's own words, and no retry."""
    outcome = start(project(WRITES), compute_name="cpuu", retries=2)
    assert (outcome.state, type(outcome.error)) == ("failed", AirflowFailException)
    assert "'cpuu' was not found" in str(outcome.error)
    assert "Did you mean 'cpu'?" in str(outcome.error)
