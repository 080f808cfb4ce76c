"""What XCom tells of something: plain JSON, one row per kind, and always the same keys for a kind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_azml.client.lifecycle import Goal, Kind
from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.client.transport.plain_json import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.history import Run
    from airflow_azml.client.lifecycle import Observation, Target

log = logging.getLogger(__name__)
Facts = dict[str, Any]


def known(target: Target, seen: Observation | None = None) -> Facts:
    """Return what is known without asking; all else is None. Of something that was deleted there is only the name.

    :param seen: how it was seen last, if it was.
    """
    names, state, more = _KEYS[target.kind]
    told: Facts = dict(zip(names, (target.name, target.parent or None), strict=False))
    if target.goal is not Goal.GONE:
        told |= {state: seen.status if seen else None, **dict.fromkeys(more)}
    return told


def best(client: Callable[[], AzureMLClient], target: Target, seen: Observation) -> Facts:
    """Return what is worth telling of something that has ended well; what cannot be read now is None.

    :param client: returns the client; it may fail, for the connection may have gone since.
    """
    if target.goal is Goal.GONE:
        return known(target)
    try:
        return facts(client(), target)
    except Exception as error:  # noqa: BLE001 - it has ended well: nothing on our side may fail it now
        log.warning("%s: it is %s, but what else is known of it could not be read: %s", target, seen.status, error)
        return known(target, seen)


def facts(client: AzureMLClient, target: Target) -> Facts:
    """Ask the service for what is worth telling of the target."""
    told: Facts = storable(_FACTS[target.kind](client, target))
    return told


def _of_run(client: AzureMLClient, target: Target) -> Facts:
    run = client.runs.get(target.name, target.parent or None)
    return {
        "run_id": run.id,
        "experiment_name": target.parent or _experiment_of(client, run),
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "metrics": _metrics(client, run.id),
    }


def _metrics(client: AzureMLClient, run_id: str) -> Facts | None:
    try:
        return client.runs.metrics(run_id)
    except AzureMLError as error:
        log.warning("run %s: its metrics could not be read: %s", run_id, error)
        return None


def _experiment_of(client: AzureMLClient, run: Run) -> str | None:
    """Return the name of a run's experiment. A run that has ended does not fail for want of it."""
    try:
        return client.experiments.by_id(run.experiment_id).name
    except AzureMLError as error:
        log.warning("the experiment of run %s is not known: %s", run.id, error)
        return None


def _of_compute(client: AzureMLClient, target: Target) -> Facts:
    compute = client.computes.get(target.name)
    return {
        "compute_name": compute.name,
        "provisioning_state": compute.provisioning_state,
        "state": compute.state or compute.allocation_state,
        "vm_size": compute.vm_size,
        "current_nodes": compute.current_nodes,
        "scale_settings": dict(compute.scale_settings),
    }


def _of_endpoint(client: AzureMLClient, target: Target) -> Facts:
    endpoint = client.endpoints.get(target.name)
    return {
        "endpoint_name": endpoint.name,
        "provisioning_state": endpoint.provisioning_state,
        "scoring_uri": endpoint.scoring_uri,
        "traffic": dict(endpoint.traffic),
    }


def _of_deployment(client: AzureMLClient, target: Target) -> Facts:
    deployment = client.deployments.get(target.parent, target.name)
    return {
        "endpoint_name": target.parent,
        "deployment_name": deployment.name,
        "provisioning_state": deployment.provisioning_state,
        "model_id": deployment.model,
        "scoring_uri": client.endpoints.get(target.parent).scoring_uri,
    }


def _of_model(client: AzureMLClient, target: Target) -> Facts:
    """The newest version's, when any was waited for."""
    registry = client.models
    model = registry.get(target.name, target.parent) if target.parent else next(iter(registry.list(target.name)))
    return {
        "model_name": model.name,
        "model_version": model.version,
        "model_id": registry.arm_id(model),
        "run_id": model.run_id,
        "tags": dict(model.tags),
    }


_FACTS: Mapping[Kind, Callable[[AzureMLClient, Target], Facts]] = {
    Kind.RUN: _of_run,
    Kind.COMPUTE: _of_compute,
    Kind.COMPUTE_INSTANCE: _of_compute,
    Kind.ENDPOINT: _of_endpoint,
    Kind.DEPLOYMENT: _of_deployment,
    Kind.MODEL: _of_model,
}
# By kind: the keys of its name and its parent, that of its state, and the others.
_COMPUTE = (("compute_name",), "provisioning_state", ("state", "vm_size", "current_nodes", "scale_settings"))
_KEYS: Mapping[Kind, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    Kind.RUN: (("run_id", "experiment_name"), "status", ("started", "ended", "metrics")),
    Kind.COMPUTE: _COMPUTE,
    Kind.COMPUTE_INSTANCE: (_COMPUTE[0], "state", ("provisioning_state", *_COMPUTE[2][1:])),
    Kind.ENDPOINT: (("endpoint_name",), "provisioning_state", ("scoring_uri", "traffic")),
    Kind.DEPLOYMENT: (("deployment_name", "endpoint_name"), "provisioning_state", ("model_id", "scoring_uri")),
    Kind.MODEL: (("model_name", "model_version"), "status", ("model_id", "run_id", "tags")),
}
