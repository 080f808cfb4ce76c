"""The one way to write an environment in this provider: a reference, or its image and packages.

``{"image": ..., "conda_file": ...}`` are the keys of `az ml environment create`; the API's spelling is accepted too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_azml.client.names import check_asset_name, check_model_version
from airflow_azml.client.specs.loading import load, write_yaml
from airflow_azml.client.specs.references import full_id, name_and_version
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Callable

_SPELLING = {"conda_file": "condaFile", "os_type": "osType", "inference_config": "inferenceConfig"}


class EnvironmentSpec(msgspec.Struct, frozen=True):
    """An environment as it is wanted.

    :param name: its name; empty when only `id` is known.
    :param version: None for one whose version follows from its content.
    :param properties: what it is made of, as the API has it; None for one that exists.
    :param id: its ARM id or its reference in a registry, where that was given.
    """

    name: str = ""
    version: str | None = None
    properties: Mapping[str, Any] | None = None
    id: str = ""


def read(value: object, field: str, *, name: str = "", load: Callable[[str, str], Any] = load) -> EnvironmentSpec:
    """Return the environment that a reference or description means, or raise InputError.

    :param field: what the caller calls it, for messages.
    :param name: of a described environment that has no name.
    :param load: reads a ``conda_file`` that is given as a path; its arguments are the path and the field.
    """
    if isinstance(value, EnvironmentSpec):
        return value
    if not isinstance(value, Mapping):
        if found := full_id(value):
            return EnvironmentSpec(id=found)
        return EnvironmentSpec(*name_and_version(value, field, forms="name:version, an ARM id, or a dict"))
    members = {_SPELLING.get(str(key), str(key)): each for key, each in value.items() if key != "$schema"}
    called = check_asset_name(members.pop("name", name), f"{field}.name")
    version = members.pop("version", None)
    conda = members.get("condaFile")
    if isinstance(conda, str) and "\n" not in conda and conda.endswith((".yml", ".yaml", ".json")):
        members["condaFile"] = load(conda, f"{field}.conda_file")
    return EnvironmentSpec(
        called, None if version is None else check_model_version(version, f"{field}.version"), normal(members, field)
    )


def normal(properties: Mapping[str, Any], field: str = "environment") -> dict[str, Any]:
    """Return the properties as they are sent: conda as YAML text. InputError when there is nothing to start from."""
    if not properties.get("image") and not properties.get("build"):
        raise InputError(field, dict(properties), "needs an image (or a build)")
    result = dict(properties)
    for name in ("tags", "properties"):
        if result.get(name) is not None:
            result[name] = texts(f"{field}.{name}", result[name])
    if isinstance(result.get("condaFile"), dict):
        result["condaFile"] = write_yaml(result["condaFile"])
    return result
