"""Waiting for an online endpoint, or a deployment behind one, that somebody else creates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.sensors.base import AzureMLBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLWaitForOnlineEndpointSensor(AzureMLBaseSensor):
    """Wait until an online endpoint, or one of its deployments, is provisioned.

    What does not exist yet is waited for; what has failed fails the sensor.

    API: `GET .../onlineEndpoints/{endpoint_name}` or `GET` of the deployment below it,
    https://learn.microsoft.com/rest/api/azureml/online-endpoints

    Returns `endpoint_name`, `provisioning_state`, `scoring_uri` and `traffic`; for a deployment what
    `AzureMLCreateOnlineDeploymentOperator` returns, without `studio_url`. Raises InputError for a value that is wrong,
    OperationFailedError when it has failed, AirflowSensorTimeout after `timeout` seconds.

    :param endpoint_name: the endpoint.
    :param deployment_name: this deployment of it; None waits for the endpoint itself.
    """

    template_fields: Sequence[str] = (*AzureMLBaseSensor.template_fields, "endpoint_name", "deployment_name")

    def __init__(self, *, endpoint_name: str, deployment_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.deployment_name = deployment_name

    def target(self, task: Task) -> Target:
        """Return the endpoint, or the deployment."""
        if self.deployment_name:
            return task.target("deployments", self.deployment_name, self.endpoint_name, goal="present")
        return task.target("endpoints", self.endpoint_name, goal="present")
