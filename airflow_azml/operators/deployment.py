"""Deployments: a model with its environment and scoring code, behind an online endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.operators.base import AzureMLWaitingOperator, Result
from airflow_azml.task import beside_dag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Target

USUAL_INSTANCE_TYPE = "Standard_DS3_v2"  # of a new deployment


class AzureMLCreateOnlineDeploymentOperator(AzureMLWaitingOperator):
    """Deploy a model version behind an online endpoint, or change the one of that name where it differs.

    What is not given stays as it is; when nothing differs, nothing is sent.
    The scoring code is uploaded once for the same content, the environment made once for the same packages.

    :param endpoint_name: the endpoint, which must exist.
    :param deployment_name: 3 to 32 letters, digits or `-`.
    :param model_name: the model.
    :param model_version: its version.
    :param source_directory: folder of the scoring code, relative to the DAG file; None for an MLflow model.
    :param scoring_script: the file in it with `init()` and `run(data)`.
    :param environment: an ARM id, `name:version`, or what to make one of: `{"image": ..., "conda_file": ...}` with the
        conda file's content, or its path beside the DAG; None for an MLflow model.
    :param instance_type: VM size; `Standard_DS3_v2` for a new deployment. It cannot be changed.
    :param instance_count: machines; 1 for a new deployment.
    :param environment_variables: of the scoring process, to add or change.
    :param spec: further JSON of the deployment: a dict, or the path of a `.json` or `.yml` file beside the DAG.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        "endpoint_name",
        "deployment_name",
        "model_name",
        "model_version",
        "source_directory",
        "scoring_script",
        "environment",
        "instance_type",
        "instance_count",
        "environment_variables",
        "spec",
    )

    def __init__(
        self,
        *,
        endpoint_name: str,
        deployment_name: str,
        model_name: str,
        model_version: str,
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

    def submit(self, client: AzureMLClient, context: Context) -> Target:
        """Deploy, change the deployment that is there, or leave it as it is."""
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - not at parse time

        spec, environment = self._checked_spec(client, context), self._checked_environment(context)
        folder = self._checked_folder(context)
        properties = spec["properties"]
        if folder:
            code = client.codes.upload(folder, entry_script=self.scoring_script)
            properties["codeConfiguration"] = {"codeId": code, "scoringScript": self.scoring_script}
        if environment:
            properties["environmentId"] = _environment_id(client, environment)
        operation = client.deployments.ensure(
            self.endpoint_name, self.deployment_name, spec, instance_type=USUAL_INSTANCE_TYPE
        ).operation
        url = operation.address if operation else ""
        return Target(Kind.DEPLOYMENT, self.deployment_name, parent=self.endpoint_name, operation_url=url)

    def result(self, client: AzureMLClient, target: Target) -> Result:
        """Return the names, the state and the scoring URI."""
        deployment = client.deployments.get(target.parent, target.name)
        return {
            "endpoint_name": target.parent,
            "deployment_name": deployment.name,
            "provisioning_state": deployment.provisioning_state,
            "model_id": deployment.model,
            "scoring_uri": client.endpoints.get(target.parent).scoring_uri,
        }

    def _checked_spec(self, client: AzureMLClient, context: Context) -> dict[str, Any]:
        """Return the deployment without what has to be uploaded first."""
        from airflow_azml.client.values import texts, whole_number, with_texts  # noqa: PLC0415 - not at parse time

        spec = with_texts(self.definition(self.spec, context))
        properties: dict[str, Any] = {
            "model": f"{client.workspace.arm_id}/models/{self.model_name}/versions/{self.model_version}",
            **({"instanceType": self.instance_type} if self.instance_type else {}),
            **spec.get("properties", {}),
        }
        if self.environment_variables:
            properties["environmentVariables"] = texts("environment_variables", self.environment_variables)
        if self.instance_count is not None:
            capacity = whole_number("instance_count", self.instance_count, at_least=1)
            spec = {"sku": {"name": "Default", "capacity": capacity}, **spec}
        return {**spec, "properties": properties}

    def _checked_folder(self, context: Context) -> Path | None:
        from airflow_azml.client.files.project import project_files  # noqa: PLC0415 - not at parse time

        if not self.source_directory:
            return None
        folder = beside_dag(context, self.source_directory)
        project_files(folder, entry_script=self.scoring_script)
        return folder

    def _checked_environment(self, context: Context) -> dict[str, Any] | str | None:
        """Return an ARM id or `name:version` as it was given, or the name and properties of one that was described."""
        from airflow_azml.client.environments import normal  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.names import check_asset_name  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - likewise

        if self.environment is None:
            return None
        if not isinstance(self.environment, dict):
            name, _, version = self.environment.removeprefix("azureml:").partition(":")
            if not name.startswith("/") and {name.strip(), version.strip()} & {"", "None"}:
                raise InputError("environment", self.environment, "must be name:version, an ARM id, or a dict")
            return self.environment
        described = {"name": self.model_name, **self.environment}
        check_asset_name(described["name"], "environment.name")
        if (conda := described.pop("conda_file", None)) is not None:
            described["condaFile"] = self.definition(conda, context, "environment.conda_file")
        return normal(described)


class AzureMLDeleteOnlineDeploymentOperator(AzureMLWaitingOperator):
    """Delete a deployment; one that does not exist is fine.

    One that still has traffic is refused by the service: set the traffic first.

    :param endpoint_name: the endpoint.
    :param deployment_name: the deployment.
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "endpoint_name", "deployment_name")

    def __init__(self, *, endpoint_name: str, deployment_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.deployment_name = deployment_name

    def submit(self, client: AzureMLClient, context: Context) -> Target:  # noqa: ARG002 - nothing to adopt
        """Delete it."""
        from airflow_azml.client.lifecycle import Goal, Kind, Target  # noqa: PLC0415 - not at parse time

        operation = client.deployments.delete(self.endpoint_name, self.deployment_name)
        url = operation.address if operation else ""
        return Target(
            Kind.DEPLOYMENT, self.deployment_name, parent=self.endpoint_name, goal=Goal.GONE, operation_url=url
        )


def _environment_id(client: AzureMLClient, environment: dict[str, Any] | str) -> str:
    """Return the environment's ARM id; make it when it was described instead of named."""
    if isinstance(environment, dict):
        return client.environments.create(environment.pop("name"), environment).id
    given = environment.removeprefix("azureml:")
    name, _, version = given.partition(":")
    return given if given.startswith("/") else client.environments.get(name, version).id
