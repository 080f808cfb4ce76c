"""Run by a Python that has the wheel: a DAG on the emulator, deferred waits included. Prints its tasks' states."""

import json

import pendulum
from airflow.sdk import DAG

from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

with DAG(
    "smoke",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    default_args={"poll_interval": 0.2, "poke_interval": 0.2, "compute_name": "cpu"},
) as dag:
    create = AzureMLCreateComputeOperator(task_id="create", vm_size="STANDARD_DS3_V2", max_nodes=1)
    run = AzureMLStartRunOperator(
        task_id="run",
        experiment_name="smoke",
        source_directory="project",
        run_definition={"script": "train.py", "environment": {"python": {"userManagedDependencies": True}}},
        deferrable=True,
    )
    run_id = "{{ ti.xcom_pull(task_ids='run')['run_id'] }}"
    wait = AzureMLWaitForRunSensor(task_id="wait", run_id=run_id, deferrable=True)
    delete = AzureMLDeleteComputeOperator(task_id="delete")
    create >> run >> wait >> delete

if __name__ == "__main__":
    dag_run = dag.test()
    print(json.dumps({task.task_id: task.state for task in dag_run.get_task_instances()}))
