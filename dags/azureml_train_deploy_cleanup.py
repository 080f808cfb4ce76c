"""Train a model on Azure ML every day, deploy it, score it, and clean up: also when something on the way fails.

The compute and the endpoint are made by setup tasks and deleted by teardown tasks, so neither is left burning money
whatever happens in between. All waiting is deferred: it costs no worker. Retries are safe: whatever a try has started,
the next one finds and goes on with.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG
from machine_failure import EXPERIMENT, IMAGE, conda, training

from airflow_azml.operators.compute import AzureMLCreateComputeOperator, AzureMLDeleteComputeOperator
from airflow_azml.operators.deployment import AzureMLCreateOnlineDeploymentOperator
from airflow_azml.operators.endpoint import (
    AzureMLCreateOnlineEndpointOperator,
    AzureMLDeleteOnlineEndpointOperator,
    AzureMLScoreOperator,
    AzureMLSetOnlineTrafficOperator,
)
from airflow_azml.operators.model import AzureMLRegisterModelOperator
from airflow_azml.operators.run import AzureMLStartRunOperator
from airflow_azml.sensors.run import AzureMLWaitForRunSensor

COMPUTE, ENDPOINT, DEPLOYMENT = "machine-failure", "machine-failure", "blue"

with DAG(
    dag_id="azureml_train_deploy_cleanup",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "deferrable": True,
        "poll_interval": 2,
        "poke_interval": 2,
        "retries": 1,
        "retry_delay": pendulum.duration(seconds=10),
    },
    params={"trees": 60},
    tags=["azureml", "example"],
    doc_md=__doc__,
) as dag:
    create_compute = AzureMLCreateComputeOperator(
        task_id="create_compute", compute_name=COMPUTE, vm_size="STANDARD_DS3_V2", min_nodes=0, max_nodes=2
    ).as_setup()

    start_run = AzureMLStartRunOperator(
        task_id="start_run",
        experiment_name=EXPERIMENT,
        source_directory="scripts/train",
        compute_name=COMPUTE,
        run_definition=training("--trees", "{{ params.trees }}"),
        wait_for_completion=False,
    )
    run_id = "{{ ti.xcom_pull(task_ids='start_run')['run_id'] }}"

    wait_for_run = AzureMLWaitForRunSensor(task_id="wait_for_run", run_id=run_id, timeout=3600)

    delete_compute = AzureMLDeleteComputeOperator(task_id="delete_compute", compute_name=COMPUTE).as_teardown(
        setups=create_compute, on_failure_fail_dagrun=True
    )

    register_model = AzureMLRegisterModelOperator(
        task_id="register_model",
        model_name="machine-failure",
        run_id=run_id,
        model_path="outputs/model",
        tags={"dag_run": "{{ run_id }}"},
    )

    create_endpoint = AzureMLCreateOnlineEndpointOperator(task_id="create_endpoint", endpoint_name=ENDPOINT).as_setup()

    create_deployment = AzureMLCreateOnlineDeploymentOperator(
        task_id="create_deployment",
        endpoint_name=ENDPOINT,
        deployment_name=DEPLOYMENT,
        model_name="machine-failure",
        model_version="{{ ti.xcom_pull(task_ids='register_model')['model_version'] }}",
        source_directory="scripts/score",
        scoring_script="score.py",
        instance_type="Standard_DS3_v2",
        environment={
            "name": "machine-failure-score",
            "image": IMAGE,
            "conda_file": conda("azureml-inference-server-http"),
        },
    )

    set_traffic = AzureMLSetOnlineTrafficOperator(
        task_id="set_traffic", endpoint_name=ENDPOINT, traffic={DEPLOYMENT: 100}
    )

    score = AzureMLScoreOperator(
        task_id="score",
        endpoint_name=ENDPOINT,
        data={"machines": [[61.5, 1.4, 5.9, 150], [84.0, 4.8, 4.6, 2300]]},
    )

    delete_endpoint = AzureMLDeleteOnlineEndpointOperator(
        task_id="delete_endpoint", endpoint_name=ENDPOINT
    ).as_teardown(setups=create_endpoint, on_failure_fail_dagrun=True)

    create_compute >> start_run >> wait_for_run >> [register_model, delete_compute]
    register_model >> create_endpoint >> create_deployment >> set_traffic >> score >> delete_endpoint
