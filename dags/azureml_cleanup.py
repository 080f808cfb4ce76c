"""Every night, delete model versions and endpoints that nobody needs any more.

Of every model the newest versions are kept; of the endpoints those younger than some days, and those whose tag `keep`
is `true`. A version that a deployment still serves is refused by the service and its task fails: what is used is kept.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.operators.endpoint import AzureMLDeleteOnlineEndpointOperator
from airflow_azml.operators.model import AzureMLDeleteModelOperator

with DAG(
    dag_id="azureml_cleanup",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"deferrable": True, "poll_interval": 2, "retries": 1, "retry_delay": pendulum.duration(seconds=10)},
    params={"models": ["machine-failure"], "keep_versions": 3, "keep_days": 7},
    tags=["azureml", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def old_versions(params: dict[str, Any]) -> list[dict[str, str]]:
        """Return the versions beyond those to keep; the registry lists the newest first."""
        models = AzureMLHook().client.models
        return [
            {"model_name": name, "model_version": model.version}
            for name in params["models"]
            for model in list(models.list(name))[params["keep_versions"] :]
        ]

    @task
    def old_endpoints(params: dict[str, Any]) -> list[str]:
        """Return the endpoints that are old and not tagged to be kept."""
        limit = pendulum.now("UTC").subtract(days=params["keep_days"])
        return [
            endpoint.name
            for endpoint in AzureMLHook().client.endpoints.list()
            if endpoint.tags.get("keep") != "true" and created(endpoint.raw) < limit
        ]

    def created(resource: dict[str, Any]) -> pendulum.DateTime:
        """Return when Azure made a resource; one that does not say is taken for new."""
        text = (resource.get("systemData") or {}).get("createdAt")
        return pendulum.parse(text) if text else pendulum.now("UTC")

    AzureMLDeleteModelOperator.partial(task_id="delete_model").expand_kwargs(old_versions())
    AzureMLDeleteOnlineEndpointOperator.partial(task_id="delete_endpoint").expand(endpoint_name=old_endpoints())
