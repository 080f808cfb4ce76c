"""Tasks that show what their run prints: while they wait on a worker, while they are deferred, and as a sensor."""

from __future__ import annotations

from airflow.sdk import DAG
from situations import RUN, WAITS

from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

TALKS = RUN | {"source_directory": "talks"}

for wait, how in WAITS.items():
    with DAG(f"talks_{wait}", schedule=None):
        AzureMLStartRunOperator(task_id="run", **TALKS, **how)

with DAG("talks_sensor", schedule=None):
    start = AzureMLStartRunOperator(task_id="start", **TALKS, wait_for_completion=False)
    start >> AzureMLWaitForRunSensor(
        task_id="run",
        run_id="{{ ti.xcom_pull('start')['run_id'] }}",
        poke_interval=0.5,
        deferrable=True,
        end_from_trigger=True,
    )
