"""The model registry, in both generations behind one interface.

:class:`ArmModels` is the v2 registry (ARM; the client chooses the version), :class:`ModelManagementModels` the
classic one (the service counts versions). Registering is idempotent in both: the caller's key is kept in an immutable
property, and a version that has it is adopted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.client import versions
from airflow_azml.client.artifacts import ORIGIN, Artifacts, clean, container_of
from airflow_azml.client.errors import ConflictError, InputError, InvalidRequestError, NotFoundError
from airflow_azml.client.names import check_model_name, check_model_version
from airflow_azml.client.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_azml.client.history import Run
    from airflow_azml.client.http import Transport
    from airflow_azml.client.workspace import Routing, Workspace

MANAGEMENT = "modelmanagement/v1.0"
MARKER = "airflow_azml.registration"
"""The property that holds the caller's key."""
_SHOWN = 20
_RACES = 5
"""How many other writers of the same model we give way to before giving up."""


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
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What to register.

    :param name: model name.
    :param path: of a file or folder in the run, such as ``outputs/model``.
    :param key: the caller's own; registering twice with one key gives one version.
    :param version: v2 only: the version to make; the next one by default.
    :param model_type: v2: custom_model, mlflow_model or triton_model. v1: the framework, such as ScikitLearn; Custom
        by default.
    """

    name: str
    path: str
    key: str
    version: str | None = None
    model_type: str = ""
    description: str = ""
    tags: Mapping[str, str] | None = None
    properties: Mapping[str, str] | None = None

    def marked(self) -> dict[str, str]:
        """Return the properties with the key; the service takes strings only."""
        return {**{key: str(value) for key, value in (self.properties or {}).items()}, MARKER: self.key}

    def labels(self) -> dict[str, str]:
        """Return the tags as strings."""
        return {key: str(value) for key, value in (self.tags or {}).items()}


class Models(Service, ABC):
    """What both registries do.

    :param artifacts: to look into the run's outputs before anything is registered.
    """

    def __init__(self, transport: Transport, workspace: Workspace, routing: Routing, artifacts: Artifacts) -> None:
        super().__init__(transport, workspace, routing)
        self._artifacts = artifacts

    def register(self, run: Run, registration: Registration) -> Model:
        """Register a file or folder of a run's outputs; adopt the version that an earlier try has made."""
        check_model_name(registration.name)
        path = clean(registration.path)
        known = self._registered(run, registration)
        if known is not None:
            return known
        if not self._artifacts.exists(run, path):
            raise self._missing(run, path)
        return self._create(run, path, registration)

    def arm_id(self, model: Model) -> str:
        """Return the ARM id of a version, which deployments refer to; both registries are one behind ARM."""
        return f"{self.workspace.arm_path}/models/{model.name}/versions/{model.version}"

    @abstractmethod
    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""

    @abstractmethod
    def delete(self, name: str, version: str) -> bool:
        """Delete a version; False when there was none, ConflictError while something uses it."""

    @abstractmethod
    def list(self, name: str) -> Iterator[Model]:
        """Yield all versions of a model, the newest first."""

    @abstractmethod
    def _registered(self, run: Run, registration: Registration) -> Model | None:
        """Return the version that has the registration's key."""

    @abstractmethod
    def _create(self, run: Run, path: str, registration: Registration) -> Model:
        """Make the version."""

    def _delete(self, url: str, params: Mapping[str, str] | None = None) -> bool:
        try:
            response = self.http.request("DELETE", url, operation="delete model", params=params, allow=(404,))
        except ConflictError as error:
            error.remedy = "An image, service or deployment uses the model: delete that first."
            raise
        return response.status_code not in {204, 404}

    def _missing(self, run: Run, path: str) -> InputError:
        there = [
            artifact.path
            for artifact in self._artifacts.list(run)
            if not artifact.path.startswith(("logs/", "system_logs/"))
        ]
        listing = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")
        return InputError("path", path, f"is not in the outputs of run {run.id}; there is: {listing or 'nothing'}")


class ArmModels(Models):
    """The v2 registry. https://learn.microsoft.com/rest/api/azureml/model-versions"""  # noqa: D400 - ends in a link

    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""
        return _arm_model(
            name, self.http.json("GET", self._url(name, version), operation="get model", params=versions.ASSETS)
        )

    def delete(self, name: str, version: str) -> bool:
        """Delete a version; False when there was none, ConflictError while something uses it."""
        return self._delete(self._url(name, version), versions.ASSETS)

    def list(self, name: str) -> Iterator[Model]:
        """Yield all versions of a model, the newest first; none when there is no such model."""
        params = {**versions.ASSETS, "$orderBy": "createdtime desc"}
        try:
            for row in self.http.pages(
                "GET", self.arm("models", name, "versions"), operation="list models", params=params
            ):
                yield _arm_model(name, row)
        except NotFoundError:
            return

    def _registered(self, run: Run, registration: Registration) -> Model | None:  # noqa: ARG002 - v2 knows no run
        return next(
            (model for model in self.list(registration.name) if model.properties.get(MARKER) == registration.key), None
        )

    def _create(self, run: Run, path: str, registration: Registration) -> Model:
        """PUT the asked version, or the next one: another writer may take that first, then the one after it."""
        for _ in range(_RACES):
            version = registration.version or self._next_version(registration.name)
            model = self._put(run, path, registration, version)
            if model.properties.get(MARKER) == registration.key:
                return model
            if registration.version:
                break
        raise ConflictError(
            f"version {version} of model {registration.name} was registered by someone else",
            operation="register model",
            permanent=True,
        )

    def _put(self, run: Run, path: str, registration: Registration, version: str) -> Model:
        """PUT a version and return it, or the one that was there already: whose it is, its marker tells."""
        body = {
            "properties": {
                "modelUri": f"azureml://jobs/{run.id}/outputs/artifacts/paths/{path}",
                "modelType": registration.model_type or "custom_model",
                "description": registration.description,
                "tags": registration.labels(),
                "properties": registration.marked(),
                "isAnonymous": False,
            }
        }
        url = self._url(registration.name, version)
        if self.http.request("GET", url, operation="get model", params=versions.ASSETS, allow=(404,)).ok:
            return self.get(registration.name, version)
        try:
            return _arm_model(
                registration.name,
                self.http.json("PUT", url, operation="register model", params=versions.ASSETS, json=body),
            )
        except (InvalidRequestError, ConflictError) as error:
            try:  # a different modelUri on an existing version is refused: somebody was faster
                return self.get(registration.name, version)
            except NotFoundError:
                raise error from None

    def _url(self, name: str, version: str) -> str:
        return self.arm("models", check_model_name(name), "versions", check_model_version(version))

    def _next_version(self, name: str) -> str:
        try:
            answer = self.http.json(
                "GET", self.arm("models", name), operation="get next model version", params=versions.ASSETS
            )
        except NotFoundError:
            return "1"
        return str((answer.get("properties") or {}).get("nextVersion") or "1")


class ModelManagementModels(Models):
    """The classic registry of the regional data plane."""

    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""
        return _management_model(self.http.json("GET", self._url(name, version), operation="get model"))

    def delete(self, name: str, version: str) -> bool:
        """Delete a version; False when there was none, ConflictError while something uses it."""
        return self._delete(self._url(name, version))

    def list(self, name: str, run_id: str | None = None) -> Iterator[Model]:
        """Yield all versions of a model, or those that a run made, the newest first."""
        params = {"name": name, "orderBy": "CreatedAtDesc", **({"runId": run_id} if run_id else {})}
        rows = self.http.pages("GET", self.regional(MANAGEMENT, "models"), operation="list models", params=params)
        return (_management_model(row) for row in rows if row.get("name") == name)

    def _registered(self, run: Run, registration: Registration) -> Model | None:
        mine = self.list(registration.name, run.id)
        return next((model for model in mine if model.properties.get(MARKER) == registration.key), None)

    def _create(self, run: Run, path: str, registration: Registration) -> Model:
        """POST the asset, then the model that is made of it."""
        if registration.version:
            raise InputError(
                "model_version", registration.version, "cannot be chosen with api 'v1': the service counts versions"
            )
        prefix = f"{ORIGIN}/{container_of(run)}/{path}"
        asset = self.http.json(
            "POST", self.regional(MANAGEMENT, "assets"), operation="create model asset",
            json={"name": registration.name, "artifacts": [{"prefix": prefix}], "runid": run.id}, retry="always",
        )  # fmt: skip
        body = {
            "name": registration.name,
            "url": f"aml://asset/{asset['id']}",
            "mimeType": "application/json",
            "unpack": False,
            "runId": run.id,
            "datasets": [],
            "kvTags": registration.labels(),
            "properties": registration.marked(),
            "framework": registration.model_type or "Custom",
            "description": registration.description,
        }
        url = self.regional(MANAGEMENT, "models")
        return self.once(
            lambda: _management_model(
                self.http.json("POST", url, operation="register model", json=body, retry="never")
            ),
            lambda: self._registered(run, registration),
        )

    def _url(self, name: str, version: str) -> str:
        return self.regional(MANAGEMENT, "models", f"{check_model_name(name)}:{check_model_version(version)}")


def _arm_model(name: str, raw: Mapping[str, Any]) -> Model:
    inner: Mapping[str, Any] = raw.get("properties") or {}
    uri = str(inner.get("modelUri") or "")
    return Model(
        name=name,
        version=str(raw.get("name") or ""),
        id=str(raw.get("id") or ""),
        tags=inner.get("tags") or {},
        properties=inner.get("properties") or {},
        description=str(inner.get("description") or ""),
        run_id=str(inner.get("jobName") or _job_in(uri)),
        uri=uri,
        raw=raw,
    )


def _job_in(uri: str) -> str:
    """Return the run that a model URI points into, as it was sent or as the service rewrites it."""
    for mark in ("azureml://jobs/", "/ExperimentRun/dcid."):
        if mark in uri:
            return uri.partition(mark)[2].partition("/")[0]
    return ""


def _management_model(raw: Mapping[str, Any]) -> Model:
    return Model(
        name=str(raw.get("name") or ""),
        version=str(raw.get("version") or ""),
        id=str(raw.get("id") or ""),
        tags=raw.get("kvTags") or {},
        properties=raw.get("properties") or {},
        description=str(raw.get("description") or ""),
        run_id=str(raw.get("runId") or ""),
        uri=str(raw.get("url") or ""),
        raw=raw,
    )
