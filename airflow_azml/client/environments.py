"""Environments (v2): an image, and the conda packages on top of it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.client import versions
from airflow_azml.client.merging import change
from airflow_azml.client.names import check_asset_name
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import InputError, NotFoundError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION_CHARACTERS = 16
_FIXED = tuple(
    f"properties.{name}" for name in ("autoRebuild", "build", "condaFile", "image", "inferenceConfig", "osType")
)


@dataclass(frozen=True, slots=True)
class Environment:
    """A version of an environment.

    :param id: its ARM id, which deployments and jobs refer to.
    :param raw: the answer's JSON.
    """

    name: str
    version: str
    id: str
    raw: Mapping[str, Any]


class Environments(Service):
    """Read and create environments."""

    def get(self, name: str, version: str) -> Environment:
        """Return a version; NotFoundError when there is none."""
        url = self.arm("environments", name, "versions", version)
        return self._parse(
            name, version, self.http.json("GET", url, operation="get environment", params=versions.ASSETS)
        )

    def create(self, name: str, spec: Mapping[str, Any], version: str | None = None) -> Environment:
        """Create a version, or adopt it when it exists; ConflictError when it exists with other content.

        :param spec: ``image``, ``condaFile`` (YAML text or a dict) and what else an environment version has.
        :param version: by default a hash of the spec, so that the same environment is made once.
        """
        check_asset_name(name, "environment name")
        properties = normal(spec)
        hashed = hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:_VERSION_CHARACTERS]
        try:
            there = self.get(name, version or hashed)
        except NotFoundError:
            return self._put(name, version or hashed, properties)
        if version is None:  # its name says what is in it
            return there
        what = f"environment {name}:{version}"
        body = change({"properties": _read_conda(there.raw.get("properties") or {})},
                      {"properties": _read_conda(properties)}, what=what, fixed=_FIXED)  # fmt: skip
        return self._put(name, version, normal(body["properties"])) if body else there

    def _put(self, name: str, version: str, properties: Mapping[str, Any]) -> Environment:
        url, body = self.arm("environments", name, "versions", version), {"properties": properties}
        answer = self.http.json("PUT", url, operation="create environment", params=versions.ASSETS, json=body)
        return self._parse(name, version, answer)

    def _parse(self, name: str, version: str, raw: Mapping[str, Any]) -> Environment:
        return Environment(
            name,
            version,
            str(raw.get("id") or f"{self.workspace.arm_id}/environments/{name}/versions/{version}"),
            raw,
        )


def _read_conda(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties with what the conda text says: two texts may say the same."""
    import yaml  # noqa: PLC0415 - only when there is something to read

    read = dict(properties)
    with suppress(yaml.YAMLError):
        read["condaFile"] = yaml.safe_load(str(read.get("condaFile") or "")) or None
    return read


def normal(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties as they are sent: conda as YAML text. InputError when there is nothing to start from."""
    if not spec.get("image") and not spec.get("build"):
        raise InputError("environment", dict(spec), "needs an image (or a build)")
    properties = dict(spec)
    for name in ("tags", "properties"):
        if properties.get(name) is not None:
            properties[name] = texts(f"environment.{name}", properties[name])
    if isinstance(properties.get("condaFile"), dict):
        import yaml  # noqa: PLC0415 - only when there is something to write

        properties["condaFile"] = yaml.safe_dump(properties["condaFile"], sort_keys=False)
    return properties
