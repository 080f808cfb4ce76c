"""Waiting for a model that somebody else registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.sensors.base import AzureMLBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


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

    def target(self, task: Task) -> Target:
        """Return the version."""
        return task.target("models", self.model_name, self.model_version or "", goal="present")
