"""Every night, delete old model versions and temporary endpoints. A dry run by default: it only shows what it would do.

Of each model in `models` the newest versions are kept. An endpoint is deleted only if its name begins with
`endpoint_prefix`, its tag `temporary` is `true`, and it is older than some days. Set `dry_run` to false once the log
shows the right names. A version that a deployment still serves is refused by the service, and its task fails.
"""

from __future__ import annotations

import logging
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.operators.endpoint import AzureMLDeleteOnlineEndpointOperator
from airflow_azml.operators.model import AzureMLDeleteModelOperator

log = logging.getLogger(__name__)

with DAG(
    dag_id="azureml_cleanup",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"deferrable": True, "poll_interval": 2, "retries": 1, "retry_delay": pendulum.duration(seconds=10)},
    params={
        "dry_run": Param(default=True, type="boolean", description="Only log what would be deleted."),
        "models": Param(["machine-failure"], type="array", items={"type": "string", "minLength": 1}),
        "keep_versions": Param(3, type="integer", minimum=1, description="Newest versions of each model to keep."),
        "endpoint_prefix": Param("tmp-", type="string", pattern="^[a-zA-Z][a-zA-Z0-9-]+$"),
        "keep_days": Param(7, type="integer", minimum=0, description="Keep endpoints that are younger."),
    },
    tags=["azureml", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def old_versions(params: dict[str, Any]) -> list[dict[str, str]]:
        """Return the versions beyond those to keep; the registry lists the newest first."""
        models = AzureMLHook().client.models
        found = [
            {"model_name": name, "model_version": model.version}
            for name in params["models"]
            for model in list(models.list(name))[params["keep_versions"] :]
        ]
        return to_delete(found, params)

    @task
    def old_endpoints(params: dict[str, Any]) -> list[str]:
        """Return the endpoints of the prefix that are marked as temporary and old."""
        limit = pendulum.now("UTC").subtract(days=params["keep_days"])
        found = [
            endpoint.name
            for endpoint in AzureMLHook().client.endpoints.list()
            if endpoint.name.startswith(params["endpoint_prefix"])
            and endpoint.tags.get("temporary") == "true"
            and created(endpoint.raw) < limit
        ]
        return to_delete(found, params)

    def to_delete(found: list[Any], params: dict[str, Any]) -> list[Any]:
        """Log what was found; return it, or nothing in a dry run."""
        log.info("%s: %s", "Dry run, would delete" if params["dry_run"] else "Deleting", found)
        return [] if params["dry_run"] else found

    def created(resource: dict[str, Any]) -> pendulum.DateTime:
        """Return when Azure made a resource; one that does not say is taken for new."""
        text = (resource.get("systemData") or {}).get("createdAt")
        return pendulum.parse(text) if text else pendulum.now("UTC")

    AzureMLDeleteModelOperator.partial(task_id="delete_model").expand_kwargs(old_versions())
    AzureMLDeleteOnlineEndpointOperator.partial(task_id="delete_endpoint").expand(endpoint_name=old_endpoints())
