"""Train, and bring what the run has written to a folder or an object store."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG
from machine_failure import EXPERIMENT, training

from airflow_azml.operators.artifact import AzureMLDownloadRunOutputsOperator
from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.operators.run import AzureMLStartRunOperator

COMPUTE = "machine-failure-once"

with DAG(
    dag_id="azureml_download",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=1,
    default_args={"deferrable": True, "poll_interval": 2, "retries": 1, "retry_delay": pendulum.duration(seconds=10)},
    params={"destination": "/tmp/machine-failure"},  # noqa: S108 - for trying it out; an s3:// or abfs:// URL works as well
    tags=["azureml", "example"],
    doc_md=__doc__,
) as dag:
    create_compute = AzureMLCreateComputeOperator(
        task_id="create_compute", compute_name=COMPUTE, vm_size="STANDARD_DS3_V2", max_nodes=1
    ).as_setup()

    train = AzureMLStartRunOperator(
        task_id="train",
        experiment_name=EXPERIMENT,
        source_directory="scripts/train",
        compute_name=COMPUTE,
        run_definition=training(),
    )

    download = AzureMLDownloadRunOutputsOperator(
        task_id="download",
        run_id="{{ ti.xcom_pull(task_ids='train')['run_id'] }}",
        destination="{{ params.destination }}/{{ run_id }}",
    )

    delete_compute = AzureMLDeleteComputeOperator(task_id="delete_compute", compute_name=COMPUTE).as_teardown(
        setups=create_compute, on_failure_fail_dagrun=True
    )

    create_compute >> train >> [download, delete_compute]
