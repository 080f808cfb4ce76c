"""Waiting for a run in every way that Airflow has, on a real emulator."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout
from emulator_process import EmulatorProcess

from airflow_azml.client.resources.experiment import Experiments
from airflow_azml.client.transport.errors import NotFoundError, ServiceError
from airflow_azml.operators.run import AzureMLCancelRunOperator, AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

ENDS = "print('done')"
RAISES = "raise ValueError('the data has no rows')"
SLEEPS = "import time\ntime.sleep({})"


@pytest.fixture
def started(airflow, cpu, project, _stop_runs):
    """Start a run and return its id."""

    def started(script):
        outcome = airflow.run(
            AzureMLStartRunOperator, task_id="start", compute_name=cpu, wait_for_completion=False, **project(script)
        )
        started.experiments.append(outcome.result["experiment_name"])
        return outcome.result["run_id"]

    started.experiments = []
    return started


@pytest.fixture
def wait(airflow):
    """Wait for a run as one process of one task."""

    def wait(run_id, **fields):
        return airflow.run(AzureMLWaitForRunSensor, run_id=run_id, **{"poke_interval": 0.2, **fields})

    return wait


@pytest.mark.parametrize("fields", [{"mode": "poke"}, {"deferrable": True}])
def test_a_completed_run_ends_the_wait_with_its_facts(airflow, started, wait, fields):
    """Poking or deferred, the run's id, status, times and metrics are in XCom, the link from the start."""
    run_id = started(SLEEPS.format(1))
    outcome = wait(run_id, **fields)
    assert outcome.state == ("deferred" if "deferrable" in fields else "success"), outcome.error
    assert outcome.xcom["azureml_studio_link"].startswith(f"https://ml.azure.com/runs/{run_id}?wsid=")
    result = airflow.finish(outcome).result
    assert (result["run_id"], result["status"], result["metrics"]) == (run_id, "Completed", {})
    assert result["experiment_name"] == started.experiments[0]


def test_a_run_whose_experiment_is_not_told_is_a_success(started, wait, monkeypatch):
    """What can no longer be found out after the run's end is left empty."""

    def unknown(*_):
        raise NotFoundError("there is no such experiment", operation="get experiment")

    run_id = started("pass")
    monkeypatch.setattr(Experiments, "by_id", unknown)
    assert wait(run_id, mode="poke").result["experiment_name"] is None


def test_rescheduling_gives_the_worker_back_between_two_looks(started, wait, until):
    """Each look is a process of its own; the last one succeeds."""
    run_id = started(SLEEPS.format(3))
    looks = [wait(run_id, mode="reschedule")]
    until(lambda: looks.append(wait(run_id, mode="reschedule")) or looks[-1].state == "success")
    assert looks[0].state == "up_for_reschedule"
    assert looks[-1].result["status"] == "Completed"


def test_a_run_that_has_ended_is_not_deferred(started, wait):
    """No triggerer is bothered with what can be seen at once."""
    run_id = started(ENDS)
    assert wait(run_id).state == "success"
    assert wait(run_id, deferrable=True).result["status"] == "Completed"


@pytest.mark.parametrize("fields", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}])
def test_a_failed_run_fails_the_sensor_at_once_with_its_traceback(airflow, started, wait, until, fields):
    """Looking again will not make the run succeed: no retry is spent on it."""
    run_id = started(RAISES)
    if fields.get("mode") == "reschedule":
        until(lambda: wait(run_id, **fields).state == "failed")
    outcome = airflow.finish(wait(run_id, retries=3, **fields))
    assert (outcome.state, type(outcome.error)) == ("failed", AirflowFailException)
    assert "ValueError: the data has no rows" in str(outcome.error)
    assert f"https://ml.azure.com/runs/{run_id}" in str(outcome.error)


def test_a_run_that_does_not_exist_is_said_so(wait):
    """A typo in the id does not wait for ever."""
    outcome = wait("no-such-run", retries=3)
    assert isinstance(outcome.error, AirflowFailException)
    assert "run no-such-run failed: NotFound: it does not exist" in str(outcome.error)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_that_times_out_leaves_the_run_alone(airflow, emulator, started, wait, deferrable):
    """It only watches: whoever started the run decides about it."""
    run_id = started(SLEEPS.format(600))
    outcome = airflow.finish(wait(run_id, timeout=1, deferrable=deferrable))
    assert isinstance(outcome.error, AirflowSensorTimeout), outcome.error
    assert emulator.regional("GET", "history/v1.0", f"/runs/{run_id}").json()["status"] != "Canceled"
    airflow.run(AzureMLCancelRunOperator, run_id=run_id)


def test_soft_fail_skips_instead_of_failing_at_a_timeout(airflow, started, wait):
    """Airflow's own option keeps its meaning, deferred too."""
    run_id = started(SLEEPS.format(600))
    for deferrable in (False, True):
        outcome = airflow.finish(wait(run_id, timeout=1, soft_fail=True, deferrable=deferrable))
        assert outcome.state == "skipped", outcome.error
    airflow.run(AzureMLCancelRunOperator, run_id=run_id)


def test_the_default_of_deferring_is_airflows(started, wait, monkeypatch):
    """`[operators] default_deferrable` decides when the sensor does not."""
    run_id = started(SLEEPS.format(2))
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert wait(run_id).state == "deferred"
    assert wait(run_id, deferrable=False).state == "success"


def test_an_outage_only_makes_the_wait_longer(wait, monkeypatch, tmp_path):
    """A look that gets no answer is no verdict on the run."""
    nobody = EmulatorProcess(tmp_path).connection(ca_bundle="")
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", nobody)
    outcome = wait("r1", mode="reschedule")
    assert outcome.state == "up_for_reschedule", outcome.error


def test_a_deferred_sensor_may_succeed_in_the_triggerer(airflow, started, wait, caplog):
    """No second worker process: the trigger shows the rest of the log, and pushes what the sensor would have pushed."""
    caplog.set_level("INFO")
    run_id = started("import time\nprint('hello')\ntime.sleep(1)\nprint('bye')")
    outcome = airflow.finish(wait(run_id, deferrable=True, end_from_trigger=True))
    assert type(outcome.message).__name__ == "TaskSuccessEvent"
    assert (outcome.result["run_id"], outcome.result["status"]) == (run_id, "Completed")
    assert [one.message for one in caplog.records if one.name == "airflow_azml.client.resources.run_log"] == [
        "hello",
        "bye",
    ]


def test_a_failure_takes_a_worker_that_tells_why(airflow, started, wait):
    """The triggerer could only say that the task failed, not why."""
    outcome = airflow.finish(wait(started(RAISES), deferrable=True, end_from_trigger=True))
    assert isinstance(outcome.error, AirflowFailException)
    assert "ValueError: the data has no rows" in str(outcome.error)


@pytest.mark.parametrize("fields", [{"outlets": [Asset("runs")]}, {"do_xcom_push": False}])
def test_what_only_a_worker_can_do_is_not_left_undone(started, wait, fields):
    """Events of outlets are sent by a worker: with them the sensor ends there."""
    outcome = wait(started(SLEEPS.format(1)), deferrable=True, end_from_trigger=True, **fields)
    assert outcome.trigger.end_task is False


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_may_cancel_what_it_waits_for_when_its_time_is_over(airflow, emulator, started, wait, deferrable):
    """`cancel_on_kill=True` makes the run the sensor's own."""
    run_id = started(SLEEPS.format(600))
    outcome = airflow.finish(wait(run_id, timeout=1, deferrable=deferrable, cancel_on_kill=True))
    assert isinstance(outcome.error, AirflowSensorTimeout), outcome.error
    assert emulator.regional("GET", "history/v1.0", f"/runs/{run_id}").json()["status"] == "Canceled"


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_log_is_shown_once(started, wait, until, caplog, mode):
    """Poking shows it as it grows; where each look is a process of its own, the last one shows it all."""
    caplog.set_level("INFO")
    run_id = started("import time\nprint('hello', flush=True)\ntime.sleep(2)\nprint('bye')")
    until(lambda: wait(run_id, mode=mode).state == "success")
    assert [one.message for one in caplog.records if one.name == "airflow_azml.client.resources.run_log"] == [
        "hello",
        "bye",
    ]


def test_soft_fail_skips_a_run_that_has_failed_before_it_could_be_deferred(started, wait, until):
    """The first look is as good as any other."""
    run_id = started(RAISES)
    until(lambda: wait(run_id, mode="reschedule").state == "failed")
    assert wait(run_id, soft_fail=True, deferrable=True).state == "skipped"


def test_a_deferred_sensor_keeps_its_execution_timeout(airflow, started, wait):
    """Airflow itself does not watch over it while a task is deferred."""
    outcome = airflow.finish(wait(started(SLEEPS.format(600)), deferrable=True, execution_timeout=timedelta(seconds=9)))
    assert isinstance(outcome.error, AirflowSensorTimeout), outcome.error
    assert "had not ended after 9 s" in str(outcome.error)


def test_a_run_that_completed_at_the_last_moment_is_no_timeout(airflow, started, wait):
    """The trigger says that the time is over, the run has completed when it was to be cancelled: that is its end."""
    deferred = wait(started(SLEEPS.format(2)), deferrable=True, cancel_on_kill=True, timeout=600)
    event = airflow.trigger_event(deferred)
    seen = {"phase": "active", "status": "Running"}
    decision = {"verdict": "timed_out", "observation": seen, "limit": "took long"}
    assert airflow.resume(deferred, {**event, "decision": decision}).result["status"] == "Completed"


def test_an_outage_that_stays_ends_poking(monkeypatch, tmp_path):
    """How long there was no usable answer counts from look to look."""
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", EmulatorProcess(tmp_path).connection(ca_bundle=""))
    task = AzureMLWaitForRunSensor(task_id="wait", run_id="r1")
    assert not task.poke({}).is_done
    task.work.sensing.watch._answered -= 1800
    with pytest.raises(ServiceError, match="gave up waiting"):
        task.poke({})
