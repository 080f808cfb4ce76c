"""Nothing on our side fails a healthy or a finished run: refusals while waiting, answers that fail after the end."""

from __future__ import annotations

import pytest

from airflow_azml.client.resources.metric import Metrics
from airflow_azml.client.resources.run import Runs
from airflow_azml.client.resources.run_log import LogFollower, RunLogs
from airflow_azml.client.transport.errors import PermissionDeniedError, ServiceError
from airflow_azml.links.azureml import AzureMLStudioLink
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

ENDS = "print('done')"


@pytest.fixture
def start(airflow, cpu, _stop_runs):
    """Start a run as one try of one task."""

    def start(fields, **more):
        return airflow.run(AzureMLStartRunOperator, **{"compute_name": cpu, **fields, **more})

    return start


def refuse(*_, **__):
    """Answer as a service does that the credential may not use."""
    raise PermissionDeniedError("no", operation="list metrics", status_code=403)


@pytest.mark.parametrize("deferrable", [False, True])
def test_metrics_that_may_not_be_read_fail_no_finished_run(airflow, start, project, monkeypatch, deferrable):
    """The run has completed: the metric service's 403 makes its metrics None, and nothing else."""
    monkeypatch.setattr(Metrics, "latest", refuse)
    result = airflow.finish(start(project(ENDS), deferrable=deferrable)).result
    assert (result["status"], result["metrics"]) == ("Completed", None)
    assert result["started"] < result["ended"]


def test_a_connection_that_is_gone_after_the_end_fails_no_finished_run(airflow, start, project, monkeypatch):
    """The keys are the same; the id and the status come from what the trigger saw."""
    whole = start(project(ENDS), task_id="whole").result
    deferred = start(project("import time\ntime.sleep(1)"), deferrable=True)
    event = airflow.trigger_event(deferred)
    monkeypatch.delenv("AIRFLOW_CONN_AZUREML_DEFAULT")
    result = airflow.resume(deferred, event).result
    assert set(result) == set(whole)
    assert (result["status"], result["metrics"], result["studio_url"]) == ("Completed", None, None)


def test_a_link_that_cannot_be_shown_fails_no_task(start, project, monkeypatch):
    """It is a convenience."""

    def publish(*_):
        raise RuntimeError("no database")

    monkeypatch.setattr(AzureMLStudioLink, "publish", publish)
    assert start(project(ENDS)).result["status"] == "Completed"


def test_a_log_that_cannot_be_read_fails_no_finished_run(start, project, monkeypatch):
    """Be it a mistake of ours: the run has ended well."""

    def breaks(*_, **__):
        raise RuntimeError("unexpected")

    monkeypatch.setattr(RunLogs, "read_file", breaks)
    monkeypatch.setattr(LogFollower, "read", lambda *_: [])
    assert start(project(ENDS)).result["status"] == "Completed"


@pytest.mark.parametrize("error", [PermissionDeniedError("no", status_code=403), ServiceError("down")])
def test_a_refusal_while_a_worker_waits_is_waited_out(start, project, monkeypatch, error):
    """A role assignment takes minutes to work: the next look succeeds."""
    real, failures = Runs.get, [error, error]

    def get(self, *arguments, **more):
        if started and failures:
            raise failures.pop()
        return real(self, *arguments, **more)

    def begin(self, *arguments, **more):
        run_id = real_start(self, *arguments, **more)
        started.append(run_id)
        return run_id

    real_start, started = Runs.start, []
    monkeypatch.setattr(Runs, "start", begin)
    monkeypatch.setattr(Runs, "get", get)
    assert start(project("import time\ntime.sleep(1)")).result["status"] == "Completed"
    assert failures == []


def test_a_secret_that_is_replaced_while_a_sensor_pokes_ends_no_wait(emulator, start, project, monkeypatch):
    """After a refusal the next look reads the connection again."""
    run_id = start(project("import time\ntime.sleep(600)"), wait_for_completion=False).result["run_id"]
    sensor = AzureMLWaitForRunSensor(task_id="wait", run_id=run_id)
    assert not sensor.poke({}).is_done
    sensor.work.client.runs.get = refuse
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(namespace="again"))
    assert sensor.work.hook.namespace == ""
    assert not sensor.poke({}).is_done
    assert sensor.work.hook.namespace == "again"
    del sensor.work.client.runs.get
    assert not sensor.poke({}).is_done
