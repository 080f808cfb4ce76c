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

    API: `GET .../models/{model_name}/versions/{model_version}`, or the list of versions,
    https://learn.microsoft.com/rest/api/azureml/model-versions

    Returns `model_name`, `model_version`, `model_id`, `run_id` and `tags`; of the newest version, when any will do.
    Raises InputError for a value that is wrong, AirflowSensorTimeout after `timeout` seconds.

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
