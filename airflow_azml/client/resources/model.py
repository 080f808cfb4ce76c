"""The model registry (v2): versions are resources of Resource Manager, and the client chooses their numbers.

Registering is idempotent: the caller's key is kept in an immutable property, and a version that has it is adopted.
https://learn.microsoft.com/rest/api/azureml/model-versions
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.client.api_versions import ASSETS
from airflow_azml.client.files import blobs
from airflow_azml.client.names import deterministic_id
from airflow_azml.client.resources.artifact import LOCAL, ORIGIN, Artifacts, clean, container_of
from airflow_azml.client.resources.datastore import ARTIFACT_STORE
from airflow_azml.client.resources.model_version import ArmModel, Model, ModelVersions
from airflow_azml.client.resources.run import Runs
from airflow_azml.client.specs.registration import MARKER, Registration, Source, stored
from airflow_azml.client.transport.errors import ConflictError, InputError, InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from airflow_azml.client.resources.run_history import Run

_ROUNDS = 30
"""How often another version number is tried when others register the same model at the same time."""
_SHOWN = 20


class Models(ModelVersions):
    """The registry: register versions, and find, change and delete them."""

    kind = "models"

    def register(self, run: Run | str, **wanted: Any) -> Model:
        """Register a file or folder of a run's outputs; adopt the version that an earlier try has made.

        :param run: the run or its id.
        :param wanted: see :class:`airflow_azml.client.specs.registration.Registration`.
        """
        registration = Registration.read(**wanted)
        path = clean(registration.path)
        run = self.beside(Runs).get(run) if isinstance(run, str) else run
        if known := self.registered(registration, run.id):
            return known
        if not self.beside(Artifacts).exists(run, path):
            raise self._missing(run, path)
        return self.make(registration, Source(run.id, ORIGIN, container_of(run), path))

    def register_local(self, source: str | Path, **wanted: Any) -> Model:
        """Upload a file or folder of this machine and register it; adopt the version that an earlier try has made."""
        registration = Registration.read(**wanted)
        files = blobs.files_in(source)
        if known := self.registered(registration):
            return known
        where = Path(source).expanduser()
        path = clean(registration.path or where.resolve().name)
        # The same key, the same place: an upload that broke off is taken up.
        container = deterministic_id((registration.name,), "local", registration.key)
        paths = {path if where.is_file() else f"{path}/{name}": file for name, file in files}
        self.beside(Artifacts).put(LOCAL, container, paths)
        return self.make(registration, Source("", LOCAL, container, path))

    def register_stored(self, uri: str, **wanted: Any) -> Model:
        """Register a file or folder that is in a datastore; adopt the version that an earlier try has made.

        :param uri: ``azureml://datastores/{name}/paths/{path}``.
        """
        registration = Registration.read(**wanted)
        source = stored(uri)
        return self.registered(registration) or self.make(registration, source)

    def registered(self, registration: Registration, run_id: str | None = None) -> Model | None:  # noqa: ARG002 - a version need not know its run
        """Return the version that has the registration's key."""
        return next(self.list(registration.name, properties={MARKER: registration.key}), None)

    def make(self, registration: Registration, source: Source) -> Model:
        """PUT the asked version, or the next one: another writer may take that first, then the one after it."""
        for round_ in range(1 if registration.version else _ROUNDS):
            if round_:  # writers that met once do not meet again
                self.http.pause(random.uniform(0, min(2.0, 0.2 * round_)))  # noqa: S311 - spreads load, guards nothing
            version = registration.version or self._next_version(registration.name)
            model = self._put(registration, source, version)
            if model.properties.get(MARKER) == registration.key:
                return model
        raise ConflictError(
            f"version {version} of model {registration.name} was registered by someone else",
            operation="register model",
            permanent=bool(registration.version),
        )

    def _put(self, registration: Registration, source: Source, version: str) -> Model:
        """PUT a version and return it, or the one that was there already: whose it is, its marker tells."""
        name = registration.name
        properties = {
            "modelUri": _uri(source),
            "modelType": registration.model_type or "custom_model",
            "description": registration.description,
            "tags": registration.tags,
            "properties": registration.marked,
            "isAnonymous": False,
        }
        if there := self.found(self._url(name, version)):
            return ArmModel.read(name, there)
        try:
            return self._write(name, version, properties, "register model")
        except (InvalidRequestError, ConflictError) as error:
            try:  # a different modelUri on an existing version is refused: somebody was faster
                return self.get(name, version)
            except NotFoundError:
                raise error from None

    def _next_version(self, name: str) -> str:
        url = self.arm("models", name)
        try:
            answer = self.http.json("GET", url, operation="get next model version", params=ASSETS)
        except NotFoundError:
            return "1"
        return str((answer.get("properties") or {}).get("nextVersion") or "1")

    def _missing(self, run: Run, path: str) -> InputError:
        there = [
            artifact.path
            for artifact in self.beside(Artifacts).list(run)
            if not artifact.path.startswith(("logs/", "system_logs/"))
        ]
        listing = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")
        return InputError("path", path, f"is not in the outputs of run {run.id}; there is: {listing or 'nothing'}")


def _uri(source: Source) -> str:
    if source.datastore:
        return f"azureml://datastores/{source.datastore}/paths/{source.path}"
    if source.origin == LOCAL:
        return f"azureml://datastores/{ARTIFACT_STORE}/paths/{LOCAL}/{source.container}/{source.path}"
    return f"azureml://jobs/{source.run_id}/outputs/artifacts/paths/{source.path}"
