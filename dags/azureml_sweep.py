"""Try several settings in parallel, one run each, and register the model of the best one.

Dynamic task mapping makes one task, and so one run, of every setting; the deferred waits share one poller.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task
from machine_failure import EXPERIMENT, training

from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.operators.model import AzureMLRegisterModelOperator
from airflow_azml.operators.run import AzureMLStartRunOperator

COMPUTE = "machine-failure-sweep"

with DAG(
    dag_id="azureml_sweep",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=1,
    default_args={"deferrable": True, "poll_interval": 2, "retries": 1, "retry_delay": pendulum.duration(seconds=10)},
    params={"trees": [20, 60, 120], "learning_rates": [0.05, 0.2]},
    tags=["azureml", "example"],
    doc_md=__doc__,
) as dag:
    create_compute = AzureMLCreateComputeOperator(
        task_id="create_compute", compute_name=COMPUTE, vm_size="STANDARD_DS3_V2", max_nodes=2
    ).as_setup()

    @task
    def settings(params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return one run definition per combination."""
        return [
            training("--trees", str(trees), "--learning-rate", str(rate))
            for trees in params["trees"]
            for rate in params["learning_rates"]
        ]

    train = AzureMLStartRunOperator.partial(
        task_id="train", experiment_name=EXPERIMENT, source_directory="scripts/train", compute_name=COMPUTE
    ).expand(run_definition=settings())

    @task
    def best(runs: list[dict[str, Any]]) -> str:
        """Return the id of the run with the largest area under the curve."""
        winner = max(runs, key=lambda run: run["metrics"]["auc"])
        print(f"{winner['run_id']} is the best of {len(runs)}: AUC {winner['metrics']['auc']:.3f}")
        return str(winner["run_id"])

    register_model = AzureMLRegisterModelOperator(
        task_id="register_model", model_name="machine-failure-sweep", run_id=best(train.output)
    )

    delete_compute = AzureMLDeleteComputeOperator(task_id="delete_compute", compute_name=COMPUTE).as_teardown(
        setups=create_compute, on_failure_fail_dagrun=True
    )

    create_compute >> train >> delete_compute
