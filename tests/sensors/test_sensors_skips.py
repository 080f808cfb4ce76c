"""`soft_fail`, `never_fail` and `silent_fail`: the outcome is the same while poking, before deferring and after it."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException
from msgspec import to_builtins

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.transport.errors import ServiceError, to_event
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

WAYS = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "first look": {"deferrable": True},
}
ABSENT = {"run_id": "no-such-run", "poke_interval": 0.2}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("option", "state"), [("soft_fail", "skipped"), ("never_fail", "skipped"), (None, "failed")])
def test_a_failure_skips_the_task_if_that_is_wanted(airflow, way, option, state):
    """A run that does not exist fails the sensor for good, in every way to wait."""
    outcome = airflow.run(AzureMLWaitForRunSensor, **ABSENT, **WAYS[way], **({option: True} if option else {}))
    assert outcome.state == state, repr(outcome.error)
    assert state == "skipped" or isinstance(outcome.error, AirflowFailException)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("option", "state"), [("soft_fail", "failed"), ("never_fail", "skipped"), (None, "failed")])
def test_any_error_of_a_look_skips_the_task_with_never_fail_only(airflow, monkeypatch, way, option, state):
    """Airflow's `soft_fail` is for failures that no retry mends; `never_fail` for every exception of a look."""

    def breaks(*_):
        raise RuntimeError("unexpected")

    monkeypatch.setattr(AzureMLClient, "look", breaks)
    outcome = airflow.run(AzureMLWaitForRunSensor, **ABSENT, **WAYS[way], **({option: True} if option else {}))
    assert outcome.state == state, repr(outcome.error)


@pytest.fixture
def deferred(airflow, cpu, project, _stop_runs):
    """Return a function that defers a sensor with options until a run has ended."""
    fields = {"compute_name": cpu, "wait_for_completion": False, **project("import time\ntime.sleep(600)")}
    run_id = airflow.run(AzureMLStartRunOperator, task_id="start", **fields).result["run_id"]

    def deferred(**options):
        outcome = airflow.run(AzureMLWaitForRunSensor, run_id=run_id, deferrable=True, poke_interval=0.2, **options)
        assert outcome.state == "deferred", repr(outcome.error)
        return outcome

    return deferred


@pytest.mark.parametrize(("option", "state"), [("soft_fail", "skipped"), ("never_fail", "skipped"), (None, "failed")])
def test_a_failure_that_the_triggerer_reports_skips_the_task_if_that_is_wanted(airflow, deferred, option, state):
    """The run has failed while the task was deferred."""
    waiting = deferred(**({option: True} if option else {}))
    seen = {"phase": "failed", "status": "Failed", "detail": "no rows"}
    event = {"target": to_builtins(waiting.trigger.target), "decision": {"verdict": "failed", "observation": seen}}
    assert airflow.resume(waiting, event).state == state


@pytest.mark.parametrize(("option", "state"), [("soft_fail", "failed"), ("never_fail", "skipped"), (None, "failed")])
def test_an_outage_that_the_triggerer_reports_skips_the_task_with_never_fail_only(airflow, deferred, option, state):
    """As an outage ends poking: it can be tried again, so `soft_fail` does not skip it."""
    waiting = deferred(**({option: True} if option else {}))
    outcome = airflow.resume(waiting, {"error": to_event(ServiceError("no answer", operation="watch"))})
    assert outcome.state == state, repr(outcome.error)


def test_a_first_look_that_breaks_is_repeated_with_silent_fail(deferred, monkeypatch):
    """As Airflow documents it: the error is logged, and the wait goes on."""
    looks, look = [], AzureMLClient.look

    def breaks_once(*arguments):
        looks.append(arguments)
        if len(looks) == 1:
            raise RuntimeError("unexpected")
        return look(*arguments)

    monkeypatch.setattr(AzureMLClient, "look", breaks_once)
    deferred(silent_fail=True)
    assert len(looks) == 2
