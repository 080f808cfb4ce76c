"""The smallest whole DAG: make a compute, run a script on it, delete the compute. The README explains it."""

import pendulum
from airflow.sdk import DAG

from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.operators.run import AzureMLStartRunOperator

with DAG(
    "azureml_first",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={"deferrable": True},
    params={"rounds": 5},
    tags=["azureml", "example"],
) as dag:
    create = AzureMLCreateComputeOperator(
        task_id="create_compute", compute_name="cpu", vm_size="STANDARD_DS3_V2", max_nodes=1
    ).as_setup()
    train = AzureMLStartRunOperator(
        task_id="train",
        experiment_name="first",
        source_directory="src",  # beside this file; .amlignore is honoured
        run_definition="train.yml",  # or a dict; templates in it are rendered
        compute_name="cpu",
    )
    delete = AzureMLDeleteComputeOperator(task_id="delete_compute", compute_name="cpu").as_teardown(
        setups=create, on_failure_fail_dagrun=True
    )

    create >> train >> delete
