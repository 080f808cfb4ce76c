"""The pipelines of the fault campaign: four kinds, one dag run a pipeline, which is known by the dag run's id.

They are written as a careful user would write them: retries, no other precaution. The cluster `shared` is made sure of
by every pipeline; those that have a cluster or an endpoint of their own delete it.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, get_current_context, task

from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.operators.endpoint import AzureMLCreateOnlineEndpointOperator, AzureMLDeleteOnlineEndpointOperator
from airflow_azml.operators.model import AzureMLDeleteModelOperator, AzureMLRegisterModelOperator
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

PIPELINE = "{{ run_id }}"
RUN_ID = "{{ ti.xcom_pull(task_ids='train')['run_id'] }}"


def campaign(kind: str, conn_id: str = "azureml_default", *, retries: int = 5, deferrable: bool = True) -> DAG:
    """Return the empty DAG of a kind of pipeline."""
    return DAG(
        f"fault_{kind}",
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        max_active_runs=4,
        default_args={
            "azureml_conn_id": conn_id,
            "deferrable": deferrable,
            "retries": retries,
            "retry_delay": pendulum.duration(seconds=1),
        },
    )


def compute(name: str = "shared") -> AzureMLCreateComputeOperator:
    """Make sure of a cluster."""
    return AzureMLCreateComputeOperator(
        task_id="compute", compute_name=name, vm_size="STANDARD_DS3_V2", max_nodes=4, poll_interval=1
    )


def train(*arguments: str, compute_name: str = "shared", wait: bool = True) -> AzureMLStartRunOperator:
    """Run scripts/train.py."""
    return AzureMLStartRunOperator(
        task_id="train",
        experiment_name=PIPELINE,
        compute_name=compute_name,
        source_directory="scripts",
        run_definition={
            "script": "train.py",
            "arguments": list(arguments),
            "environment": {"python": {"userManagedDependencies": True}},
        },
        wait_for_completion=wait,
        poll_interval=1,
    )


def register() -> AzureMLRegisterModelOperator:
    """Register what the run has written, under the pipeline's name."""
    return AzureMLRegisterModelOperator(task_id="register", model_name=PIPELINE, run_id=RUN_ID)


def delete() -> AzureMLDeleteModelOperator:
    """Delete the version that was registered, and no other."""
    version = "{{ ti.xcom_pull(task_ids='register')['model_version'] }}"
    return AzureMLDeleteModelOperator(task_id="delete", model_name=PIPELINE, model_version=version)


@task
def read_keys() -> None:
    """Read the endpoint's keys, as a task does that hands them to another system.

    They are not logged: Airflow masks them in the task's log, but not in LocalExecutor's copy of it.
    """
    AzureMLHook().client.endpoints.keys(f"e-{get_current_context()['run_id']}")


with campaign("sync", deferrable=False):
    compute() >> train() >> register() >> delete()
    endpoint = {"endpoint_name": f"e-{PIPELINE}", "poll_interval": 1}
    opened = AzureMLCreateOnlineEndpointOperator(task_id="endpoint", **endpoint).as_setup()
    closed = AzureMLDeleteOnlineEndpointOperator(task_id="delete_endpoint", **endpoint)
    opened >> read_keys() >> closed.as_teardown(setups=opened, on_failure_fail_dagrun=True)

with campaign("deferred"):
    own = f"c-{PIPELINE}"
    made = compute(own).as_setup()
    gone = AzureMLDeleteComputeOperator(task_id="delete_compute", compute_name=own, poll_interval=1)
    trained = train(compute_name=own)
    made >> trained >> register() >> delete()
    trained >> gone.as_teardown(setups=made, on_failure_fail_dagrun=True)

with campaign("sensor", "azureml_classic"):
    wait = AzureMLWaitForRunSensor(task_id="wait", run_id=RUN_ID, experiment_name=PIPELINE, poke_interval=1)
    compute() >> train(wait=False) >> wait >> register() >> delete()

with campaign("failing", retries=2):
    compute() >> train("--fail") >> register() >> delete()
