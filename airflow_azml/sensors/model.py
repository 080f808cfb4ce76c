"""Waiting for a model that somebody else registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.sensors.base import AzureMLBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Target


class AzureMLWaitForModelSensor(AzureMLBaseSensor):
    """Wait until a version of a model is registered.

    :param model_name: the model.
    :param model_version: this version; any when None.
    """

    template_fields: Sequence[str] = (*AzureMLBaseSensor.template_fields, "model_name", "model_version")

    def __init__(self, *, model_name: str, model_version: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_name = model_name
        self.model_version = model_version

    def target(self) -> Target:
        """Return the version."""
        from airflow_azml.client.lifecycle import Goal, Kind, Target  # noqa: PLC0415 - not at parse time

        version = "" if self.model_version is None else str(self.model_version)
        return Target(Kind.MODEL, self.model_name, parent=version, goal=Goal.PRESENT)

    def result(self, client: AzureMLClient, target: Target) -> dict[str, Any]:
        """Return the version's name, number, id, run and tags; the newest version's when any was waited for."""
        registry = client.models
        model = registry.get(target.name, target.parent) if target.parent else next(iter(registry.list(target.name)))
        return {
            "model_name": model.name,
            "model_version": model.version,
            "model_id": registry.arm_id(model),
            "run_id": model.run_id,
            "tags": dict(model.tags),
        }
