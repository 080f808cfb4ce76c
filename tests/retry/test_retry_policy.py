"""The retry policy, asked by Airflow's own task runner about what real tasks have met on a real emulator."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException
from msgspec import to_builtins

from airflow_azml.client.transport.causes import Cause
from airflow_azml.client.transport.errors import (
    AzureMLError,
    ConnectionFailedError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)
from airflow_azml.operators.compute import AzureMLCreateComputeOperator
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.retry import SPREAD, AzureMLRetryPolicy, azureml_retry_policy

RAISES = "raise ValueError('PreemptionError: the vCPU quota of this script is used up')\n"
PREEMPTED = (
    "AzureMLCompute job failed.\nPreemptionError: Nodes of this job got pre-empted. Check if the run has failed or "
    "restarted. Reason: Received pre-emption warning signal"
)


def decided(error, try_number=1, policy=azureml_retry_policy):
    return policy.evaluate(error, try_number, max_tries=9)


def about(seconds):
    """The delay, up to the share by which delays are spread."""
    return pytest.approx(seconds * (1 + SPREAD / 2), rel=SPREAD / 2 + 0.001)


@pytest.mark.parametrize(
    ("error", "tries", "seconds"),
    [
        (ServiceError("m"), 1, 30),
        (ServiceError("m"), 3, 120),
        (ConnectionFailedError("m"), 2, 60),
        (ServiceError("m"), 500, 600),
        (ServiceError("m", retry_after=900), 1, 900),
        (ThrottledError("m"), 1, 60),
        (ThrottledError("m"), 9, 600),
        (ThrottledError("m", retry_after=7), 4, 7),
        (AzureMLError("m", cause=Cause.PREEMPTED), 5, 30),
        (AzureMLError("m", cause=Cause.QUOTA), 1, 1200),
    ],
)
def test_each_cause_has_its_delay(error, tries, seconds):
    """What another try can mend is retried after a delay that fits, and never all at the same moment."""
    decision = decided(error, tries)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay.total_seconds() == about(seconds)
    assert len({decided(error, tries).retry_delay for _ in range(20)}) > 1
    assert decision.reason.startswith(f"{error.cause}: m")


def test_what_nobody_can_mend_fails_and_the_rest_is_not_ours():
    """A user error fails at once; unknown failures and foreign exceptions are left to the task's own settings."""
    assert decided(NotFoundError("m")).action is RetryAction.FAIL
    for error in (AzureMLError(), ValueError("OutOfQuota"), TimeoutError()):
        assert decided(error).action is RetryAction.DEFAULT


def test_delays_can_be_chosen():
    """A policy with other delays is the same class with other values."""
    policy = AzureMLRetryPolicy(quota=timedelta(hours=1))
    assert decided(AzureMLError(cause=Cause.QUOTA), policy=policy).retry_delay.total_seconds() == about(3600)


@pytest.fixture
def fault(emulator):
    """Let calls go wrong as asked for, until the test has ended."""

    def fault(**fields):
        emulator.control("POST", "faults", json=fields).raise_for_status()

    yield fault
    emulator.control("DELETE", "faults")


@pytest.fixture
def create(airflow):
    """Create a compute as the first try of a task with the policy."""

    def create(**fields):
        policy = {"retries": 3, "retry_policy": azureml_retry_policy}
        return airflow.run(
            AzureMLCreateComputeOperator, compute_name="retried", vm_size="STANDARD_DS3_V2", **policy, **fields
        )

    return create


@pytest.mark.parametrize(
    ("answer", "seconds", "reason"),
    [
        ({"status": 400, "code": "ClusterCoreQuotaReached", "message": "a total vCPU quota of 4"}, 1200, "quota"),
        ({"status": 429, "retryAfter": 90}, 90, "throttled"),
        ({"status": 503, "retryAfter": 70}, 70, "transient"),
    ],
)
def test_a_task_is_retried_when_the_service_is_to_blame(create, fault, answer, seconds, reason):
    """The task runner asks for a retry, with the policy's delay and reason."""
    fault(method="PUT", path="/computes/retried", times=9, **answer)
    outcome = create()
    assert outcome.state == "up_for_retry", outcome.error
    assert outcome.message.retry_delay_seconds == about(seconds)
    assert outcome.message.retry_reason.startswith(f"{reason}: ")


def test_a_task_fails_at_once_when_its_user_is_to_blame(create, fault):
    """A bad request is not tried again: it never even comes before the policy."""
    fault(method="PUT", path="/computes/retried", times=9, status=400, code="BadRequest", message="no such VM size")
    outcome = create()
    assert (outcome.state, type(outcome.error)) == ("failed", AirflowFailException)


@pytest.fixture
def failed(airflow, cpu, project, emulator, until):
    """Start a run as a deferred task with the policy, and wait until its script has failed."""

    def failed():
        fields = project(RAISES)
        fields |= {"compute_name": cpu, "deferrable": True, "retries": 3, "retry_policy": azureml_retry_policy}
        deferred = airflow.run(AzureMLStartRunOperator, **fields)
        run_id = deferred.trigger.target.name
        path = f"/experiments/{fields['experiment_name']}/runs/{run_id}"
        until(lambda: emulator.regional("GET", "history/v1.0", path).json()["status"] == "Failed")
        return deferred, path

    return failed


def test_a_failing_script_is_not_tried_again(airflow, failed):
    """The run failed by the script's own fault, whatever words the script has in its log."""
    outcome = airflow.finish(failed()[0])
    assert (outcome.state, outcome.error.cause) == ("failed", Cause.USER)


def test_a_preempted_run_is_tried_again_soon(airflow, failed, emulator):
    """The run failed because its node was taken away: the task comes back in half a minute, for a new run."""
    deferred, path = failed()
    error = {"error": {"code": "UserError", "message": PREEMPTED, "details": [], "innerError": None}}
    event = {"name": "Microsoft.MachineLearning.Run.Error", "data": {"errorResponse": error}}
    emulator.regional("POST", "history/v1.0", f"{path}/events", json=event).raise_for_status()
    outcome = airflow.finish(deferred)
    assert outcome.state == "up_for_retry", outcome.error
    assert outcome.message.retry_delay_seconds == about(30)


def test_an_error_of_the_triggerer_is_judged_alike(airflow, failed):
    """An error that the trigger met, and not the worker, brings all that the policy has to know."""
    from airflow_azml.client.transport.errors import to_event  # noqa: PLC0415 - beside its use

    deferred, _ = failed()
    error = to_event(ThrottledError("too fast", retry_after=33))
    outcome = airflow.resume(deferred, {"target": to_builtins(deferred.trigger.target), "error": error})
    assert outcome.state == "up_for_retry"
    assert outcome.message.retry_delay_seconds == about(33)


def test_a_dag_with_the_policy_can_be_stored():
    """The policy stays in the DAG file: the scheduler stores that there is one, of mapped tasks too."""
    from airflow.sdk import DAG  # noqa: PLC0415 - beside its use
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415 - likewise

    with DAG("stored", schedule=None) as dag:
        BaseOperator(task_id="one", retry_policy=azureml_retry_policy)
        fields = {"retry_policy": azureml_retry_policy, "azureml_conn_id": "c"}
        AzureMLCreateComputeOperator.partial(task_id="many", **fields).expand(compute_name=["a", "b"])
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert all(task.has_retry_policy for task in again.task_dict.values())


def test_older_airflow_is_told_what_is_missing():
    """Where Airflow has no retry policies the import says so; the rest of the package does not need them."""
    script = (
        "import sys; sys.modules['airflow.sdk.definitions.retry_policy'] = None\n"
        "import airflow_azml.operators.run, airflow_azml.sensors.run, airflow_azml.provider_info\n"
        "try: import airflow_azml.retry\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert "needs Apache Airflow 3.3" in done.stdout


def test_parsing_a_dag_with_the_policy_loads_no_client():
    """The policy costs a DAG file nothing but itself."""
    script = "import sys, airflow_azml.retry; print([name for name in sys.modules if 'azml.client' in name])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
