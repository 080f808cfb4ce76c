"""A model to be registered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from airflow_azml.client.names import check_model_name, check_model_version
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import texts

MARKER = "airflow_azml.registration"
"""The property that holds the caller's key."""
_STORED = re.compile(r"azureml://datastores/(?P<name>[A-Za-z0-9_]{1,255})/paths/(?P<path>[^/\s][^\x00-\x1f]*)")


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What to register.

    :param name: model name.
    :param path: of a file or folder in the run, such as ``outputs/model``. For local files: the name that they get
        in the registry, the source's own by default.
    :param key: the caller's own; registering twice with one key gives one version.
    :param version: v2 only: the version to make; the next one by default.
    :param model_type: v2: custom_model, mlflow_model or triton_model. v1: the framework, such as ScikitLearn; Custom
        by default.
    :param tags: numbers and booleans become texts, also those of the properties.
    """

    name: str
    path: str = ""
    key: str
    version: str | None = None
    model_type: str = ""
    description: str = ""
    tags: Mapping[str, str]
    properties: Mapping[str, str]

    @classmethod
    def read(
        cls, *, name: str, version: str | None = None, tags: Any = None, properties: Any = None, **more: Any
    ) -> Self:
        """Check values as a user writes or templates them."""
        return cls(
            name=check_model_name(name),
            version=None if version is None else check_model_version(version),
            tags=texts("tags", tags),
            properties=texts("properties", properties),
            **more,
        )

    @property
    def marked(self) -> dict[str, str]:
        """The properties with the key."""
        return {**self.properties, MARKER: self.key}


class Source(msgspec.Struct, frozen=True):
    """Where a model's files are: with the artifact service, or in a datastore.

    :param run_id: the run that wrote them; empty for others.
    :param origin: with the artifact service: the kind of the container.
    :param datastore: the datastore; empty when the artifact service has them.
    """

    run_id: str = ""
    origin: str = ""
    container: str = ""
    path: str = ""
    datastore: str = ""


def stored(uri: object, field: str = "datastore_path") -> Source:
    """Read the URI of a file or folder in a datastore, or raise InputError."""
    found = _STORED.fullmatch(uri) if isinstance(uri, str) else None
    if not found:
        raise InputError(field, uri, "must be azureml://datastores/NAME/paths/PATH")
    return Source(datastore=found["name"], path=found["path"])
