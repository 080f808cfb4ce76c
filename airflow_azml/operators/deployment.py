"""Deployments: a model with its environment and scoring code, behind an online endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_azml.operators.base import AzureMLWaitingOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLCreateOnlineDeploymentOperator(AzureMLWaitingOperator):
    """Deploy a model version behind an online endpoint, or change the one of that name where it differs.

    What is not given stays as it is; when nothing differs, nothing is sent.
    The scoring code is uploaded once for the same content, the environment made once for the same packages.

    API: `PUT .../onlineEndpoints/{endpoint_name}/deployments/{deployment_name}`,
    https://learn.microsoft.com/rest/api/azureml/online-deployments

    Returns `endpoint_name`, `deployment_name`, `provisioning_state`, `model_id`, `scoring_uri` and `studio_url`. Raises
    InputError for a value that is wrong, ConflictError for a difference that cannot be changed, NotFoundError when the
    endpoint or the model does not exist, OperationFailedError, with the container's last lines, when the deployment
    fails, TimeoutError after `timeout`.

    :param endpoint_name: the endpoint, which must exist.
    :param deployment_name: 3 to 32 letters, digits or `-`.
    :param model_name: the model; None, together with `model_version`, leaves the deployment's model as it is, and a new
        deployment without one unless the spec names it.
    :param model_version: its version; `latest` is the version that was registered last when the task runs.
    :param source_directory: folder of the scoring code, relative to the DAG file; None for an MLflow model.
    :param scoring_script: the file in it with `init()` and `run(data)`.
    :param environment: an ARM id, `name:version`, or what to make one of: `{"image": ..., "conda_file": ...}` with the
        conda file's content, or its path beside the DAG; None for an MLflow model.
    :param instance_type: VM size, for example `Standard_DS3_v2`. A new deployment needs one; it cannot be changed, and
        None keeps that of one that exists.
    :param instance_count: machines; 1 for a new deployment.
    :param environment_variables: of the scoring process, to add or change.
    :param spec: further JSON of the deployment: a dict, or the path of a `.json` or `.yml` file beside the DAG. If
        it contradicts a parameter, the task fails.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        *("endpoint_name", "deployment_name", "model_name", "model_version", "source_directory", "scoring_script"),
        *("environment", "instance_type", "instance_count", "environment_variables", "spec"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "environment": "json",
        "environment_variables": "json",
        "spec": "json",
    }

    def __init__(
        self,
        *,
        endpoint_name: str,
        deployment_name: str,
        model_name: str | None = None,
        model_version: str | None = None,
        source_directory: str | None = None,
        scoring_script: str = "score.py",
        environment: dict[str, Any] | str | None = None,
        instance_type: str | None = None,
        instance_count: int | None = None,
        environment_variables: dict[str, str] | None = None,
        spec: dict[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.deployment_name = deployment_name
        self.model_name = model_name
        self.model_version = model_version
        self.source_directory = source_directory
        self.scoring_script = scoring_script
        self.environment = environment
        self.instance_type = instance_type
        self.instance_count = instance_count
        self.environment_variables = environment_variables
        self.spec = spec

    def submit(self, task: Task) -> Target:
        """Deploy, change the deployment that is there, or leave it as it is."""
        return task.client.deployments.ensure(
            self.endpoint_name,
            self.deployment_name,
            task.definition(self.spec),
            model=task.model_reference(self.model_name, self.model_version),
            code=task.beside_dag(self.source_directory) if self.source_directory else None,
            scoring_script=self.scoring_script,
            environment=task.environment(self.environment, self.model_name or self.deployment_name),
            instance_type=self.instance_type,
            instance_count=self.instance_count,
            environment_variables=self.environment_variables,
        )


class AzureMLDeleteOnlineDeploymentOperator(AzureMLWaitingOperator):
    """Delete a deployment; one that does not exist is fine.

    One that still has traffic is refused by the service: set the traffic first.

    API: `DELETE .../onlineEndpoints/{endpoint_name}/deployments/{deployment_name}`,
    https://learn.microsoft.com/rest/api/azureml/online-deployments

    Returns `endpoint_name`, `deployment_name` and `studio_url`. Raises InputError for a value that is wrong,
    InvalidRequestError or ConflictError when the service refuses, OperationFailedError when the deletion fails,
    TimeoutError after `timeout`.

    :param endpoint_name: the endpoint.
    :param deployment_name: the deployment.
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "endpoint_name", "deployment_name")

    def __init__(self, *, endpoint_name: str, deployment_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.deployment_name = deployment_name

    def submit(self, task: Task) -> Target:
        """Delete it."""
        return task.client.deployments.delete(self.endpoint_name, self.deployment_name)
