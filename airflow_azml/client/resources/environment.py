"""Environments (v2): an image, and the conda packages on top of it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_azml.client import api_versions
from airflow_azml.client.merging import change
from airflow_azml.client.names import check_asset_name
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.specs import environment as specs
from airflow_azml.client.specs import run_environment
from airflow_azml.client.specs.loading import read_yaml
from airflow_azml.client.transport.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION_CHARACTERS = 16
_FIXED = tuple(
    f"properties.{name}" for name in ("autoRebuild", "build", "condaFile", "image", "inferenceConfig", "osType")
)


class Environment(Value, frozen=True):
    """A version of an environment.

    :param id: its ARM id, which deployments and jobs refer to.
    :param image: what it starts from; empty when it is built from a Dockerfile.
    :param conda_file: YAML text; empty when the image has all that is needed.
    """

    levels = 1
    name: str = ""
    version: str = ""
    id: str = ""
    image: str = ""
    conda_file: str = ""


class Environments(Resource):
    """Read and make environments."""

    kind = "environments"

    def get(self, name: str, version: str) -> Environment:
        """Return a version; NotFoundError when there is none."""
        return self._value(name, version, self.read(self._url(name, version)))

    def list(self, name: str) -> Iterator[Environment]:
        """Yield the versions of an environment, the newest first."""
        params = {**api_versions.ASSETS, "$orderBy": "createdtime desc"}
        rows = self.rows(self.arm("environments", name, "versions"), params)
        return (self._value(name, str(row.get("name") or ""), row) for row in rows)

    def ensure(self, environment: str | Json | specs.EnvironmentSpec) -> str:
        """Return the ARM id of an environment, which is made if it is described and does not exist.

        A version that exists with other content is refused with a ConflictError.

        :param environment: ``name:version``, an ARM id or a description, see :mod:`..specs.environment`.
            A description without a version gets a hash of its content for one, so that the same is made once.
        """
        wanted = specs.read(environment, "environment")
        if wanted.id:
            return wanted.id
        if wanted.properties is None:
            return self.get(wanted.name, wanted.version or "").id
        return self.create(wanted.name, wanted.properties, wanted.version).id

    def inlined(self, definition: Json) -> Json:
        """Return a run definition that says what its environment is made of, also when it only names one.

        The run API does not look up an environment: a curated or registered one has to be written out.
        """
        configuration = definition.get("configuration") or {}
        wanted = run_environment.only_named(configuration.get("environment"))
        if wanted is None:
            return definition
        found = self._named(wanted)
        made_of = {"image": found.image, "condaFile": found.conda_file}
        called = f"environment {found.name}:{found.version}"
        environment = run_environment.written_out(configuration["environment"], made_of, called)
        return {**definition, "configuration": {**configuration, "environment": environment}}

    def create(self, name: str, spec: Json, version: str | None = None) -> Environment:
        """Create a version, or adopt it when it exists; ConflictError when it exists with other content.

        :param spec: ``image``, ``condaFile`` (YAML text or a dict) and what else an environment version has.
        :param version: by default a hash of the spec, so that the same environment is made once.
        """
        check_asset_name(name, "environment name")
        properties = specs.normal(spec)
        hashed = hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:_VERSION_CHARACTERS]
        there = self.found(self._url(name, version or hashed))
        if there is None:
            return self._put(name, version or hashed, properties)
        if version is None:  # the version says what is in it
            return self._value(name, hashed, there)
        body = change(_comparable(there.get("properties") or {}), _comparable(properties),
                      what=f"environment {name}:{version}", fixed=_FIXED)  # fmt: skip
        return self._put(name, version, specs.normal(body["properties"])) if body else self._value(name, version, there)

    def _named(self, wanted: specs.EnvironmentSpec) -> Environment:
        """Return a version, the newest unless one is asked for."""
        try:
            return self.get(wanted.name, wanted.version) if wanted.version else next(self.list(wanted.name))
        except (NotFoundError, StopIteration) as error:
            raise NotFoundError(
                f"environment {wanted.name}, version {wanted.version or 'any'}, is not in the workspace",
                operation="get environment",
                status_code=404,
                url=self.arm("environments", wanted.name, "versions", wanted.version or "any"),
                remedy="Name one that is, or give image and conda_file instead.",
            ) from error

    def _put(self, name: str, version: str, properties: Json) -> Environment:
        url, body = self._url(name, version), {"properties": properties}
        answer = self.http.json("PUT", url, operation="create environment", params=api_versions.ASSETS, json=body)
        return self._value(name, version, answer)

    def _value(self, name: str, version: str, raw: Json) -> Environment:
        id_ = raw.get("id") or f"{self.workspace.arm_id}/environments/{name}/versions/{version}"
        return Environment.of(raw, name=name, version=version, id=id_)

    def _url(self, name: str, version: str) -> str:
        return self.arm("environments", name, "versions", version)


def _comparable(properties: Json) -> dict[str, Any]:
    """Return the resource with what its conda text says: two texts may say the same."""
    read = dict(properties)
    with suppress(InputError):
        read["condaFile"] = read_yaml(str(read.get("condaFile") or ""), "condaFile") or None
    return {"properties": read}
