"""What XCom tells of something when a wait for it has ended well: plain JSON, one row per kind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_azml.client.lifecycle import Kind
from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.client.transport.plain_json import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.history import Run
    from airflow_azml.client.lifecycle import Target

log = logging.getLogger(__name__)
Facts = dict[str, Any]


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
        "metrics": client.runs.metrics(run.id),
    }


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
    """A deployment's facts are its endpoint's: that is what is called."""
    endpoint = client.endpoints.get(target.parent or target.name)
    return {
        "endpoint_name": endpoint.name,
        "provisioning_state": endpoint.provisioning_state,
        "scoring_uri": endpoint.scoring_uri,
        "traffic": dict(endpoint.traffic),
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
    Kind.DEPLOYMENT: _of_endpoint,
    Kind.MODEL: _of_model,
}
