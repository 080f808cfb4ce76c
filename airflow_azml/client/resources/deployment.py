"""Deployments of an online endpoint (v2): a model, its environment and scoring code, on machines of its own.

https://learn.microsoft.com/rest/api/azureml/online-deployments
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.client import api_versions
from airflow_azml.client.files.project import project_files
from airflow_azml.client.lifecycle import Goal, Observation
from airflow_azml.client.names import check_deployment_name, check_endpoint_name
from airflow_azml.client.resources.code_asset import CodeAssets
from airflow_azml.client.resources.endpoint import Endpoints, endpoint_page
from airflow_azml.client.resources.environment import Environments
from airflow_azml.client.resources.resource import Lines, Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.specs import az_ml
from airflow_azml.client.specs.arguments import with_arguments
from airflow_azml.client.specs.environment import EnvironmentSpec
from airflow_azml.client.specs.environment import read as read_environment
from airflow_azml.client.specs.references import full_id, name_and_version
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import texts, whole_number, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_azml.client.lifecycle import Target

Container = Literal["InferenceServer", "StorageInitializer"]
# Members that the specification lets only a new deployment have otherwise.
_FIXED = ("location", "properties.instanceType", "properties.endpointComputeType")


class Deployment(Value, frozen=True):
    """A deployment as the service describes it.

    :param provisioning_state: Creating, Updating, Scaling, Deleting, Succeeded, Failed, Canceled.
    :param model: ARM id of the model version.
    :param sku: ``capacity`` is the number of machines.
    """

    levels = 1
    name: str = ""
    location: str = ""
    provisioning_state: str = "Unknown"
    model: str = ""
    instance_type: str = ""
    sku: Mapping[str, Any] = {}
    tags: Mapping[str, str] = {}

    @property
    def instance_count(self) -> int:
        """How many machines it has."""
        return int(self.sku.get("capacity") or 0)


class Deployments(Resource):
    """Create, read and delete deployments. The parent of a target is the endpoint."""

    kind = "deployments"
    names = ("deployment_name", "endpoint_name")
    facts = ("model_id", "scoring_uri")

    def ensure(
        self,
        endpoint: str,
        name: str,
        spec: Json | None = None,
        *,
        model: str | None = None,
        code: str | Path | None = None,
        scoring_script: str = "score.py",
        environment: str | Json | EnvironmentSpec | None = None,
        instance_type: str | None = None,
        instance_count: int | None = None,
        environment_variables: Json | None = None,
    ) -> Target:
        """Create a deployment, or change what differs. What is not named stays as it is.

        The code is uploaded once for the same content, and the environment is made once for the same packages. A new
        deployment has one managed machine, where the workspace is, unless the spec says otherwise.

        :param spec: the resource's JSON: ``properties``, ``sku``, ``tags``, ``location``.
        :param model: ``name:version`` or an ARM id.
        :param code: folder of the scoring code; None for an MLflow model.
        :param scoring_script: the file in it with ``init()`` and ``run(data)``.
        :param environment: ``name:version``, an ARM id or a description, see :mod:`..specs.environment`.
        :param instance_type: VM size. A new deployment needs one: it costs money, so there is no default.
        """
        az_ml.refuse(spec or {}, "spec", "the deployment's JSON as the REST API has it: properties, sku, tags")
        url = self._url(endpoint, name)
        variables = None if environment_variables is None else texts("environment_variables", environment_variables)
        count = None if instance_count is None else _machines(instance_count)
        named = {
            "model": ("properties.model", model and self._model_id(model)),
            "instance_type": ("properties.instanceType", instance_type),
            "instance_count": ("sku.capacity", count),
            "environment_variables": ("properties.environmentVariables", variables),
        }
        wanted = with_arguments(with_texts(spec or {}), named)
        described = None if environment is None else read_environment(environment, "environment", name=name)
        if code:
            project_files(code, entry_script=scoring_script)
        properties = wanted.get("properties") or {}
        there = self.found(url)
        if there is None and not properties.get("instanceType"):
            self.routing.require()
            rule = f"is required: deployment {name} does not exist yet, and machines cost money"
            raise InputError("instance_type", rule=rule)
        wanted["properties"] = {**properties, **self._parts(code, scoring_script, described)}
        new = {"sku": {"name": "Default", "capacity": 1}, "properties": {"endpointComputeType": "Managed"}}
        return self.apply(self.target(name, endpoint), url, there, wanted, new=new, fixed=_FIXED)

    def get(self, endpoint: str, name: str) -> Deployment:
        """Return a deployment; NotFoundError when there is none."""
        return Deployment.of(self.read(self._url(endpoint, name)))

    def list(self, endpoint: str) -> Iterator[Deployment]:
        """Yield the deployments of an endpoint."""
        url = self.arm("onlineEndpoints", check_endpoint_name(endpoint), "deployments")
        return map(Deployment.of, self.rows(url))

    def delete(self, endpoint: str, name: str) -> Target:
        """Delete a deployment, which should have no traffic any more."""
        return self.deleted(self.target(name, endpoint), self._url(endpoint, name), api_versions.ASSETS)

    def scale(self, endpoint: str, name: str, instance_count: int) -> Target:
        """Give a deployment another number of machines; the rest of it stays as it is."""
        url = self._url(endpoint, name)
        wanted = {"sku": {"capacity": _machines(instance_count)}}
        return self.apply(self.target(name, endpoint), url, self.read(url), wanted, new={}, fixed=_FIXED)

    def logs(self, endpoint: str, name: str, tail: int = 100, container: Container = "InferenceServer") -> str:
        """Return the last lines that a container of the deployment has printed."""
        answer = self.http.json(
            "POST", f"{self._url(endpoint, name)}/getLogs", operation="get deployment logs", params=api_versions.ASSETS,
            json={"tail": tail, "containerType": container}, retry="always",
        )  # fmt: skip
        return str(answer.get("content") or "")

    def observe(self, target: Target) -> Observation:
        """Return the state of its provisioning."""
        return Observation.of(self.statuses, self.get(target.parent, target.name).provisioning_state)

    def log(self, target: Target, lines: int) -> Lines:
        """Return the last lines of its scoring container; none of one that is being deleted."""
        if target.goal is Goal.GONE:
            return []
        return self.logs(target.parent, target.name, tail=lines).splitlines()[-lines:]

    def page(self, target: Target) -> str:
        """Return the path of its endpoint's page in Azure ML studio."""
        return endpoint_page(target.parent)

    def result(self, target: Target) -> dict[str, Any]:
        """Return its names, state and model, and the scoring URI of its endpoint."""
        deployment = self.get(target.parent, target.name)
        return {
            "endpoint_name": target.parent,
            "deployment_name": deployment.name,
            "provisioning_state": deployment.provisioning_state,
            "model_id": deployment.model,
            "scoring_uri": self.beside(Endpoints).get(target.parent).scoring_uri,
        }

    def _parts(self, code: str | Path | None, script: str, described: EnvironmentSpec | None) -> dict[str, Any]:
        """Make what a deployment is made of, unless the workspace has it, and return the references to it."""
        parts: dict[str, Any] = {}
        if code:
            code_id = self.beside(CodeAssets).upload(code, entry_script=script)
            parts["codeConfiguration"] = {"codeId": code_id, "scoringScript": script}
        if described:
            parts["environmentId"] = self.beside(Environments).ensure(described)
        return parts

    def _model_id(self, model: str) -> str:
        if found := full_id(model):
            return found
        name, version = name_and_version(model, "model", "model_name")
        return f"{self.workspace.arm_id}/models/{name}/versions/{version}"

    def _url(self, endpoint: str, name: str) -> str:
        return self.arm("onlineEndpoints", check_endpoint_name(endpoint), "deployments", check_deployment_name(name))


def _machines(count: object) -> int:
    return whole_number("instance_count", count, at_least=1)
