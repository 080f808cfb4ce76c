"""The model registry, in both generations behind one interface.

:class:`~airflow_azml.client.models_arm.ArmModels` is the v2 registry (ARM; the client chooses the version),
:class:`~airflow_azml.client.models_management.ModelManagementModels` the classic one (the service counts versions).
Registering is idempotent in both: the caller's key is kept in an immutable property, and a version that has it is
adopted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.client.artifacts import LOCAL, ORIGIN, Artifacts, clean, container_of
from airflow_azml.client.deployments import Deployments
from airflow_azml.client.endpoints import Endpoints
from airflow_azml.client.files import blobs
from airflow_azml.client.names import check_model_name, check_model_version, deterministic_id
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import AzureMLError, ConflictError, InputError, InvalidRequestError
from airflow_azml.client.values import text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_azml.client.history import Run
    from airflow_azml.client.transport.http import Transport
    from airflow_azml.client.workspace import Routing, Workspace

MARKER = "airflow_azml.registration"
"""The property that holds the caller's key."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model.

    :param id: the registry's own id: an ARM id (v2) or ``name:version`` (v1).
    :param run_id: the run that made it, where the registry knows.
    :param uri: where its files are, in the registry's own words.
    :param raw: the answer's JSON.
    """

    name: str
    version: str
    id: str
    tags: Mapping[str, str]
    properties: Mapping[str, str]
    description: str
    run_id: str
    uri: str
    created: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What to register.

    :param name: model name.
    :param path: of a file or folder in the run, such as ``outputs/model``. For local files: the name that they get
        in the registry, the source's own by default.
    :param key: the caller's own; registering twice with one key gives one version.
    :param version: v2 only: the version to make; the next one by default.
    :param model_type: v2: custom_model, mlflow_model or triton_model. v1: the framework, such as ScikitLearn; Custom
        by default.
    """

    name: str
    path: str = ""
    key: str
    version: str | None = None
    model_type: str = ""
    description: str = ""
    tags: Mapping[str, str] | None = None
    properties: Mapping[str, str] | None = None

    def check(self) -> None:
        """Raise InputError unless name and version are such."""
        check_model_name(self.name)
        if self.version is not None:
            check_model_version(self.version)

    def marked(self) -> dict[str, str]:
        """Return the properties with the key; the service takes strings only."""
        return {**texts("properties", self.properties), MARKER: self.key}

    def labels(self) -> dict[str, str]:
        """Return the tags as strings."""
        return texts("tags", self.tags)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the artifact service has a model's files.

    :param run_id: the run that wrote them; empty for local files.
    """

    run_id: str
    origin: str
    container: str
    path: str


class Models(Service, ABC):
    """What both registries do.

    :param artifacts: to look into the run's outputs before anything is registered.
    """

    def __init__(self, transport: Transport, workspace: Workspace, routing: Routing, artifacts: Artifacts) -> None:
        super().__init__(transport, workspace, routing)
        self._artifacts = artifacts

    def register(self, run: Run, registration: Registration) -> Model:
        """Register a file or folder of a run's outputs; adopt the version that an earlier try has made."""
        registration.check()
        path = clean(registration.path)
        known = self._registered(registration, run.id)
        if known is not None:
            return known
        if not self._artifacts.exists(run, path):
            raise self._missing(run, path)
        return self._create(Source(run.id, ORIGIN, container_of(run), path), registration)

    def register_local(self, source: str | Path, registration: Registration) -> Model:
        """Upload a file or folder of this machine and register it; adopt the version that an earlier try has made."""
        registration.check()
        known = self._registered(registration)
        if known is not None:
            return known
        files = blobs.files_in(source)
        where = Path(source).expanduser()
        path = clean(registration.path or where.resolve().name)
        # The same key, the same place: an upload that broke off is taken up.
        container = deterministic_id((registration.name,), "local", registration.key)
        paths = {path if where.is_file() else f"{path}/{name}": file for name, file in files}
        self._artifacts.put(LOCAL, container, paths)
        return self._create(Source("", LOCAL, container, path), registration)

    def arm_id(self, model: Model) -> str:
        """Return the ARM id of a version, which deployments refer to; both registries are one behind ARM."""
        return f"{self.workspace.arm_id}/models/{model.name}/versions/{model.version}"

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

    def delete(self, name: str, version: str) -> bool:
        """Delete a version; False when there was none, ConflictError that says by whom while it is in use."""
        try:
            return self._delete(name, version)
        except (ConflictError, InvalidRequestError) as error:
            users = self._known_users(name, version)
            if users:
                raise ConflictError(
                    f"{error.message.rstrip('. ')}. It is used by {', '.join(users)}.",
                    operation=f"delete model {name}:{version}",
                    status_code=error.status_code,
                    code=error.code,
                    request_id=error.request_id,
                    details=error.details,
                    remedy="Delete that first.",
                ) from error
            if isinstance(error, ConflictError):
                error.remedy = "An image, service or deployment uses the model: delete that first."
            raise

    def users(self, name: str, version: str) -> Iterator[str]:
        """Yield, in words, what uses a version: the deployments of online endpoints."""
        parts = (self.http, self.workspace, self.routing)
        wanted = (f"/models/{name}/versions/{version}".casefold(), f"azureml:{name}:{version}".casefold())
        for endpoint in Endpoints(*parts).list():
            for deployment in Deployments(*parts).list(endpoint.name):
                if deployment.model.casefold().endswith(wanted):
                    yield f"deployment {deployment.name} of endpoint {endpoint.name}"

    def _known_users(self, name: str, version: str) -> tuple[str, ...]:
        try:
            return tuple(self.users(name, version))
        except AzureMLError:  # the refusal counts, not that its reason cannot be read
            return ()

    @abstractmethod
    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""

    @abstractmethod
    def list(
        self, name: str | None = None, *, tags: Mapping[str, str | None] | None = None, run_id: str | None = None
    ) -> Iterator[Model]:
        """Yield the versions of a model, or of all models, the newest first; none when there is no such model.

        :param tags: only those with these tags; None means with any value.
        :param run_id: only those that this run made.
        """

    @abstractmethod
    def update(
        self, name: str, version: str, *, tags: Mapping[str, str] | None = None, description: str | None = None
    ) -> Model:
        """Add or change tags, change the description; return the version as it is now."""

    @abstractmethod
    def _delete(self, name: str, version: str) -> bool:
        """Delete a version; False when there was none."""

    @abstractmethod
    def _create(self, source: Source, registration: Registration) -> Model:
        """Make the version."""

    def _registered(self, registration: Registration, run_id: str | None = None) -> Model | None:
        """Return the version that has the registration's key."""
        mine = self.list(registration.name, run_id=run_id)
        return next((model for model in mine if model.properties.get(MARKER) == registration.key), None)

    def _deleted(self, url: str, params: Mapping[str, str] | None = None) -> bool:
        response = self.http.request("DELETE", url, operation="delete model", params=params, allow=(404,))
        return response.status_code not in {204, 404}

    def _missing(self, run: Run, path: str) -> InputError:
        there = [
            artifact.path
            for artifact in self._artifacts.list(run)
            if not artifact.path.startswith(("logs/", "system_logs/"))
        ]
        listing = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")
        return InputError("path", path, f"is not in the outputs of run {run.id}; there is: {listing or 'nothing'}")


def has_tags(model: Model, tags: Mapping[str, str | None] | None) -> bool:
    """Say whether a version has the tags; None means with any value."""
    return all(
        key in model.tags and (value is None or model.tags[key] == text(f"tags.{key}", value))
        for key, value in (tags or {}).items()
    )


def tag_query(tags: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return the query parameter that lets the service do most of the filtering: ``key,other=value``."""
    pairs = [key if value is None else f"{key}={value}" for key, value in (tags or {}).items()]
    sendable = [pair for pair in pairs if "," not in pair]
    return {"tags": ",".join(sendable)} if sendable else {}
