"""Environments (v2): an image, and the conda packages on top of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.client import versions
from airflow_azml.client.names import check_asset_name
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION_CHARACTERS = 16


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
        """Create a version, or adopt it when it exists: versions are immutable.

        :param spec: ``image``, ``condaFile`` (YAML text or a dict) and what else an environment version has.
        :param version: by default a hash of the spec, so that the same environment is made once.
        """
        check_asset_name(name, "environment name")
        properties = normal(spec)
        version = (
            version or hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:_VERSION_CHARACTERS]
        )
        try:
            return self.get(name, version)
        except NotFoundError:
            url = self.arm("environments", name, "versions", version)
            body = {"properties": properties}
            return self._parse(
                name,
                version,
                self.http.json("PUT", url, operation="create environment", params=versions.ASSETS, json=body),
            )

    def _parse(self, name: str, version: str, raw: Mapping[str, Any]) -> Environment:
        return Environment(
            name,
            version,
            str(raw.get("id") or f"{self.workspace.arm_path}/environments/{name}/versions/{version}"),
            raw,
        )


def normal(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties as they are sent: conda as YAML text. InputError when there is nothing to start from."""
    if not spec.get("image") and not spec.get("build"):
        raise InputError("environment", dict(spec), "needs an image (or a build)")
    properties = dict(spec)
    if isinstance(properties.get("condaFile"), dict):
        import yaml  # noqa: PLC0415 - only when there is something to write

        properties["condaFile"] = yaml.safe_dump(properties["condaFile"], sort_keys=False)
    return properties
