"""Operations of the client that start something, each returning the Target to wait for.

It stands between the operators and the client's resources until these return targets themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.client import amlcompute, environments, targets
from airflow_azml.client.files.project import project_files
from airflow_azml.client.lifecycle import Goal, Kind, Target
from airflow_azml.client.names import check_asset_name
from airflow_azml.client.specs.arguments import with_arguments
from airflow_azml.client.transport.errors import InputError, ModelError, NotFoundError, ServiceError
from airflow_azml.client.values import mapping, texts, whole_number, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.transport.longrunning import Operation

Environment = dict[str, Any] | str | None


class Kinds:
    """The operations.

    :param client: of the task's connection.
    """

    def __init__(self, client: AzureMLClient) -> None:
        self._client = client

    def ensure_compute(self, name: str, **wanted: Any) -> Target:
        """Create a cluster, or change its scale settings where they differ.

        :param wanted: see :meth:`airflow_azml.client.amlcompute.AmlComputeSpec.read`.
        """
        spec, computes = amlcompute.AmlComputeSpec.read(**wanted), self._client.computes
        if spec.vm_size is None and computes.find(name) is None:
            self._client.routing.require()
            raise InputError("vm_size", rule=f"is required: compute {name} does not exist yet, and machines cost money")
        return _target(Kind.COMPUTE, name, amlcompute.ensure(computes, name, spec).operation)

    def delete_compute(self, name: str, action: Any) -> Target:
        """Delete a compute, its machines too or not."""
        return _target(Kind.COMPUTE, name, self._client.computes.delete(name, action), goal=Goal.GONE)

    def start_instance(self, name: str) -> Target:
        """Start a compute instance, unless it runs or is starting."""
        return self._power(name, Goal.SUCCEEDED, {"running", "jobrunning", "starting"})

    def stop_instance(self, name: str) -> Target:
        """Stop a compute instance, unless it is stopped or stopping."""
        return self._power(name, Goal.STOPPED, {"stopped", "stopping"})

    def ensure_endpoint(
        self, name: str, spec: Mapping[str, Any], *, auth_mode: str | None, tags: dict[str, Any] | None
    ) -> Target:
        """Create an online endpoint, or change what differs."""
        given = None if tags is None else texts("tags", tags)
        arguments = {"auth_mode": ("properties.authMode", auth_mode), "tags": ("tags", given)}
        wanted = with_arguments(with_texts(spec), arguments)
        return _target(Kind.ENDPOINT, name, self._client.endpoints.ensure(name, wanted).operation)

    def set_traffic(self, name: str, traffic: object) -> Target:
        """Share the traffic out among deployments."""
        shares = mapping("traffic", traffic)
        numbers = {one: whole_number(f"traffic of {one}", percent) for one, percent in shares.items()}
        return _target(Kind.ENDPOINT, name, self._client.endpoints.set_traffic(name, numbers).operation)

    def delete_endpoint(self, name: str) -> Target:
        """Delete an online endpoint with its deployments."""
        return _target(Kind.ENDPOINT, name, self._client.endpoints.delete(name), goal=Goal.GONE)

    def ensure_deployment(
        self,
        endpoint: str,
        name: str,
        spec: Mapping[str, Any],
        *,
        model: tuple[str, str],
        code: Path | None,
        scoring_script: str,
        environment: Environment,
        instance_type: str | None,
        instance_count: int | None,
        environment_variables: dict[str, Any] | None,
    ) -> Target:
        """Create a deployment, or change what differs. Everything is checked before anything is uploaded.

        :param model: its name and version.
        """
        client = self._client
        variables = environment_variables and texts("environment_variables", environment_variables)
        count = None if instance_count is None else whole_number("instance_count", instance_count, at_least=1)
        arguments = {
            "model": ("properties.model", f"{client.workspace.arm_id}/models/{model[0]}/versions/{model[1]}"),
            "instance_type": ("properties.instanceType", instance_type),
            "instance_count": ("sku.capacity", count),
            "environment_variables": ("properties.environmentVariables", variables or None),
        }
        wanted = with_arguments(with_texts(spec), arguments)
        if count is not None:
            wanted["sku"].setdefault("name", "Default")
        described = _environment(environment, model[0])
        if code:
            project_files(code, entry_script=scoring_script)
        self._needs_machine(endpoint, name, wanted["properties"])
        wanted["properties"] |= self._parts(code, scoring_script, described)
        return _target(
            Kind.DEPLOYMENT, name, client.deployments.ensure(endpoint, name, wanted).operation, parent=endpoint
        )

    def delete_deployment(self, endpoint: str, name: str) -> Target:
        """Delete a deployment."""
        operation = self._client.deployments.delete(endpoint, name)
        return _target(Kind.DEPLOYMENT, name, operation, parent=endpoint, goal=Goal.GONE)

    def delete_model(self, name: str, version: str | None, *, all_versions: object) -> list[str]:
        """Delete a version of a model, or all; return those that were deleted. Deleting all needs its own flag."""
        models = self._client.models
        if not isinstance(all_versions, bool):
            raise InputError("all_versions", all_versions, "must be True or False")
        if all_versions and version is not None:
            raise InputError("model_version", version, "must not be given with all_versions=True: remove one of them")
        if not all_versions and version is None:
            raise InputError("model_version", rule="is required; only all_versions=True deletes every version")
        deleted = models.delete_all(name) if version is None else [version] * models.delete(name, version)
        if not deleted:
            self._client.routing.require()
        return list(deleted)

    def score(self, endpoint: str, data: Any, *, deployment: str | None, timeout: float) -> Any:
        """Send a request to the model. An error shows the logs of all deployments that may have answered."""
        try:
            return self._client.endpoints.score(endpoint, data, deployment=deployment, timeout=timeout)
        except (ModelError, ServiceError) as error:  # the service says no more than "check the logs"
            error.remedy = "\n".join(["", *self._logs(endpoint, deployment)])
            raise

    def _logs(self, endpoint: str, deployment: str | None) -> Iterator[str]:
        shares = self._client.endpoints.get(endpoint).traffic
        for name in [deployment] if deployment else [name for name in shares if shares[name]]:
            yield f"Log of deployment {name}:"
            yield from targets.log_tail(self._client, Target(Kind.DEPLOYMENT, name, parent=endpoint))

    def _power(self, name: str, goal: Goal, settled: set[str]) -> Target:
        computes = self._client.computes
        compute = computes.get(name)
        if compute.compute_type.casefold() != "computeinstance":
            rule = f"is a {compute.compute_type}; only a ComputeInstance starts and stops"
            raise InputError("compute_name", name, rule)
        if compute.state.casefold() in settled:
            return Target(Kind.COMPUTE_INSTANCE, name, goal=goal)
        act = computes.start if goal is Goal.SUCCEEDED else computes.stop
        return _target(Kind.COMPUTE_INSTANCE, name, act(name), goal=goal)

    def _needs_machine(self, endpoint: str, name: str, properties: Mapping[str, Any]) -> None:
        if properties.get("instanceType"):
            return
        try:
            self._client.deployments.get(endpoint, name)
        except NotFoundError:
            self._client.routing.require()
            rule = f"is required: deployment {name} does not exist yet, and machines cost money"
            raise InputError("instance_type", rule=rule) from None

    def _parts(self, code: Path | None, script: str, environment: Environment) -> dict[str, Any]:
        """Make what a deployment is made of, unless the workspace has it; return the references to it."""
        parts: dict[str, Any] = {}
        if code:
            code_id = self._client.codes.upload(code, entry_script=script)
            parts["codeConfiguration"] = {"codeId": code_id, "scoringScript": script}
        if isinstance(environment, dict):
            parts["environmentId"] = self._client.environments.create(environment.pop("name"), environment).id
        elif environment:
            given = environment.removeprefix("azureml:")
            name, _, version = given.partition(":")
            named = given.startswith("/")
            parts["environmentId"] = given if named else self._client.environments.get(name, version).id
        return parts


def _target(kind: Kind, name: str, operation: Operation | None, **more: Any) -> Target:
    return Target(kind, name, operation_url=operation.address if operation else "", **more)


def _environment(given: Environment, model_name: str) -> Environment:
    """Check an environment: an ARM id or `name:version` as it was given, or the name and properties of a new one."""
    if given is None:
        return None
    if not isinstance(given, dict):
        name, _, version = given.removeprefix("azureml:").partition(":")
        if not name.startswith("/") and {name.strip(), version.strip()} & {"", "None"}:
            raise InputError("environment", given, "must be name:version, an ARM id, or a dict")
        return given
    described = {"name": model_name, **given}
    check_asset_name(described["name"], "environment.name")
    return environments.normal(described)
