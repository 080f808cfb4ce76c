"""Versions of models (v2): found, changed and deleted. A version that is in use is not deleted: its users are named.

https://learn.microsoft.com/rest/api/azureml/model-versions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow_azml.client.api_versions import ASSETS
from airflow_azml.client.filters import asset_query, has_all
from airflow_azml.client.lifecycle import Observation, Phase
from airflow_azml.client.merging import change
from airflow_azml.client.names import check_model_name, check_model_version
from airflow_azml.client.resources.deployment import Deployments
from airflow_azml.client.resources.endpoint import Endpoints
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.transport.errors import (
    AzureMLError,
    ConflictError,
    InputError,
    InvalidRequestError,
    NotFoundError,
)
from airflow_azml.client.values import flag, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_azml.client.lifecycle import Statuses, Target


class Model(Value, frozen=True):
    """A version of a model.

    :param id: the registry's own id: an ARM id (v2) or ``name:version`` (v1).
    :param run_id: the run that made it, where the registry knows.
    :param uri: where its files are, in the registry's own words.
    """

    name: str = ""
    version: str = ""
    id: str = ""
    tags: Mapping[str, str] = {}
    properties: Mapping[str, str] = {}
    description: str = ""
    run_id: str = ""
    uri: str = ""
    created: str = ""


class ArmModel(Model, frozen=True):
    """A version as Resource Manager describes it."""

    levels = 1

    @classmethod
    def read(cls, name: str, raw: Json) -> Model:
        """Read a version of a named model."""
        inner: Json = raw.get("properties") or {}
        uri = inner.get("modelUri")
        run_id, created = inner.get("jobName") or _job_in(str(uri)), (raw.get("systemData") or {}).get("createdAt")
        return cls.of(raw, name=name, version=raw.get("name"), runId=run_id, uri=uri, created=created)


class ModelVersions(Resource):
    """Find, change and delete versions. The parent of a target is the version; any will do when it is empty."""

    kind = "models"
    names = ("model_name", "model_version")
    state = ""
    facts = ("model_id", "run_id", "tags")
    statuses: ClassVar[Statuses] = {"registered": Phase.SUCCEEDED}
    api_version: ClassVar[Json] = ASSETS

    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""
        return ArmModel.read(name, self.read(self._url(name, version)))

    def list(
        self,
        name: str | None = None,
        *,
        tags: Mapping[str, str | None] | None = None,
        properties: Mapping[str, str | None] | None = None,
        run_id: str | None = None,
    ) -> Iterator[Model]:
        """Yield the versions of a model, or of all models, the newest first; none when there is no such model.

        :param tags: only those with these tags; None means with any value.
        :param properties: likewise.
        :param run_id: only those that this run made.
        """
        models = self._listed(name, {**asset_query("tags", tags), **asset_query("properties", properties)}, run_id)
        return (
            model
            for model in models
            if has_all(model.tags, tags) and has_all(model.properties, properties) and run_id in {None, model.run_id}
        )

    def update(
        self, name: str, version: str, *, tags: Mapping[str, str] | None = None, description: str | None = None
    ) -> Model:
        """Add or change tags, change the description; return the version as it is now."""
        wanted: dict[str, Any] = {"tags": texts("tags", tags)}
        if description is not None:
            wanted["description"] = description
        return self._changed(name, version, wanted, "update model")

    def archive(self, name: str, version: str, *, archived: bool = True) -> Model:
        """Hide a version from lists, or show it again; deployments of it go on. Return the version as it is now."""
        return self._changed(name, version, {"isArchived": flag("archived", archived)}, "archive model")

    def newest(self, name: str) -> Model:
        """Return the version that was registered last, archived ones aside; NotFoundError when there is none."""
        if found := next(self.list(name), None):
            return found
        raise NotFoundError(f"there is no version of model {name}", operation="list models")

    def delete(self, name: str, version: str) -> bool:
        """Delete a version; False when there was none. A ConflictError names what uses it."""
        try:
            response = self.http.request(
                "DELETE", self._url(name, version), operation="delete model", params=self.api_version, allow=(404,)
            )
        except (ConflictError, InvalidRequestError) as error:
            raise self._in_use(name, version, error)  # noqa: B904 - it may be the same
        return response.status_code not in {204, 404}

    def delete_versions(self, name: str, version: str | None, *, all_versions: bool) -> tuple[str, ...]:
        """Delete a version, or all of them, and return which there were. Deleting all takes a flag of its own."""
        if flag("all_versions", all_versions) and version is not None:
            raise InputError("model_version", version, "must not be given with all_versions=True: remove one of them")
        if not all_versions and version is None:
            raise InputError("model_version", rule="is required; only all_versions=True deletes every version")
        deleted = self.delete_all(name) if version is None else (version,) * self.delete(name, version)
        if not deleted:
            self.routing.require()
        return deleted

    def delete_all(self, name: str) -> tuple[str, ...]:
        """Delete every version of a model and return which; ConflictError, after the others, for those in use."""
        deleted, refused = [], []
        for version in [model.version for model in self.list(check_model_name(name))]:
            try:
                if self.delete(name, version):
                    deleted.append(version)
            except ConflictError as error:
                refused.append(error)
        if refused:
            gone = f" Deleted: {', '.join(deleted)}." if deleted else ""
            raise ConflictError(
                " ".join(error.message for error in refused) + gone,
                operation=f"delete all versions of model {name}",
                remedy=refused[0].remedy,
            )
        return tuple(deleted)

    def arm_id(self, model: Model) -> str:
        """Return the ARM id of a version, which deployments refer to; both registries are one behind ARM."""
        return f"{self.workspace.arm_id}/models/{model.name}/versions/{model.version}"

    def users(self, name: str, version: str) -> Iterator[str]:
        """Yield, in words, what uses a version: the deployments of online endpoints."""
        wanted = (f"/models/{name}/versions/{version}".casefold(), f"azureml:{name}:{version}".casefold())
        for endpoint in self.beside(Endpoints).list():
            for deployment in self.beside(Deployments).list(endpoint.name):
                if deployment.model.casefold().endswith(wanted):
                    yield f"deployment {deployment.name} of endpoint {endpoint.name}"

    def observe(self, target: Target) -> Observation:
        """Return that it is registered."""
        self._newest(target)
        return Observation.of(self.statuses, "Registered")

    def page(self, target: Target) -> str:
        """Return the path of the version's page in Azure ML studio, or of all models when none is known."""
        return model_page(target.name, target.parent)

    def result(self, target: Target) -> dict[str, Any]:
        """Return name, version, id, run and tags: of the newest version, when any was waited for."""
        return self.described(self._newest(target))

    def described(self, model: Model) -> dict[str, Any]:
        """Return the same of a version that was read already."""
        return {
            "model_name": model.name,
            "model_version": model.version,
            "model_id": self.arm_id(model),
            "run_id": model.run_id,
            "tags": dict(model.tags),
        }

    def _changed(self, name: str, version: str, wanted: Json, operation: str) -> Model:
        """Return a version with the members as wanted; nothing is sent when it has them already."""
        there = self.get(name, version)
        body = change(there.raw, {"properties": wanted}, what=f"model {name}:{version}")
        return self._write(name, version, body["properties"], operation) if body else there

    def _write(self, name: str, version: str, properties: Json, operation: str) -> Model:
        url, body = self._url(name, version), {"properties": properties}
        return ArmModel.read(name, self.http.json("PUT", url, operation=operation, params=ASSETS, json=body))

    def _listed(self, name: str | None, params: Json, run_id: str | None) -> Iterator[Model]:  # noqa: ARG002 - the service cannot filter by it
        """Yield what the service lists, which may be more than what was asked for."""
        for one in self._names() if name is None else (check_model_name(name),):
            url = self.arm("models", one, "versions")
            try:
                for row in self.rows(url, {**ASSETS, "$orderBy": "createdtime desc", **params}):
                    yield ArmModel.read(one, row)
            except NotFoundError:
                continue

    def _names(self) -> Iterable[str]:
        return (str(row["name"]) for row in self.rows(self.arm("models")))

    def _newest(self, target: Target) -> Model:
        return self.get(target.name, target.parent) if target.parent else self.newest(target.name)

    def _url(self, name: str, version: str) -> str:
        return self.arm("models", check_model_name(name), "versions", check_model_version(version))

    def _in_use(self, name: str, version: str, error: ConflictError | InvalidRequestError) -> AzureMLError:
        """Return why a version was not deleted: a refusal that says, where that can be found out, who uses it."""
        try:
            users = tuple(self.users(name, version))
        except AzureMLError:  # the refusal counts, not that its reason cannot be read
            users = ()
        if users:
            return ConflictError(
                f"{error.message.rstrip('. ')}. It is used by {', '.join(users)}.",
                operation=f"delete model {name}:{version}",
                status_code=error.status_code,
                code=error.code,
                request_id=error.request_id,
                details=error.details,
                remedy="Delete that first.",
            )
        if isinstance(error, ConflictError):
            error.remedy = "An image, service or deployment uses the model: delete that first."
        return error


def model_page(name: str, version: str) -> str:
    """Return the path of a version's page in studio, or that of all models when there is no version yet."""
    return f"/model/{quote(name, safe='')}:{quote(version, safe='')}/details" if version else "/model/list"


def _job_in(uri: str) -> str:
    """Return the run that a model URI points into, as it was sent or as the service rewrites it."""
    for mark in ("azureml://jobs/", "/ExperimentRun/dcid."):
        if mark in uri:
            return uri.partition(mark)[2].partition("/")[0]
    return ""
