"""The v2 model registry: versions are resources of ARM, and the client chooses their numbers.

https://learn.microsoft.com/rest/api/azureml/model-versions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.client import versions
from airflow_azml.client.artifacts import LOCAL
from airflow_azml.client.datastores import ARTIFACT_STORE
from airflow_azml.client.merging import change
from airflow_azml.client.models import MARKER, Model, Models, Registration, Source, has_tags, tag_query
from airflow_azml.client.names import check_model_name, check_model_version
from airflow_azml.client.transport.errors import ConflictError, InvalidRequestError, NotFoundError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_RACES = 5
"""How many other writers of the same model we give way to before giving up."""


class ArmModels(Models):
    """The v2 registry."""

    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""
        url = self._url(name, version)
        return _model(name, self.http.json("GET", url, operation="get model", params=versions.ASSETS))

    def list(
        self, name: str | None = None, *, tags: Mapping[str, str | None] | None = None, run_id: str | None = None
    ) -> Iterator[Model]:
        """Yield the versions of a model, or of all models, the newest first; none when there is no such model."""
        for one in self._names() if name is None else (check_model_name(name),):
            for model in self._versions(one, tags):
                if has_tags(model, tags) and run_id in {None, model.run_id}:
                    yield model

    def update(
        self, name: str, version: str, *, tags: Mapping[str, str] | None = None, description: str | None = None
    ) -> Model:
        """Add or change tags, change the description; return the version as it is now."""
        wanted: dict[str, Any] = {"tags": texts("tags", tags)}
        if description is not None:
            wanted["description"] = description
        there = self.get(name, version)
        body = change(there.raw, {"properties": wanted}, what=f"model {name}:{version}")
        return self._write(name, version, body["properties"], "update model") if body else there

    def _delete(self, name: str, version: str) -> bool:
        return self._deleted(self._url(name, version), versions.ASSETS)

    def _names(self) -> Iterable[str]:
        rows = self.http.pages("GET", self.arm("models"), operation="list models", params=versions.ASSETS)
        return (str(row["name"]) for row in rows)

    def _versions(self, name: str, tags: Mapping[str, str | None] | None) -> Iterator[Model]:
        params = {**versions.ASSETS, "$orderBy": "createdtime desc", **tag_query(tags)}
        url = self.arm("models", name, "versions")
        try:
            for row in self.http.pages("GET", url, operation="list models", params=params):
                yield _model(name, row)
        except NotFoundError:
            return

    def _registered(self, registration: Registration, run_id: str | None = None) -> Model | None:  # noqa: ARG002 - a version need not know its run
        return super()._registered(registration)

    def _create(self, source: Source, registration: Registration) -> Model:
        """PUT the asked version, or the next one: another writer may take that first, then the one after it."""
        for _ in range(_RACES):
            version = registration.version or self._next_version(registration.name)
            model = self._put(source, registration, version)
            if model.properties.get(MARKER) == registration.key:
                return model
            if registration.version:
                break
        raise ConflictError(
            f"version {version} of model {registration.name} was registered by someone else",
            operation="register model",
            permanent=True,
        )

    def _put(self, source: Source, registration: Registration, version: str) -> Model:
        """PUT a version and return it, or the one that was there already: whose it is, its marker tells."""
        properties = {
            "modelUri": _uri(source),
            "modelType": registration.model_type or "custom_model",
            "description": registration.description,
            "tags": registration.labels(),
            "properties": registration.marked(),
            "isAnonymous": False,
        }
        url = self._url(registration.name, version)
        if self.http.request("GET", url, operation="get model", params=versions.ASSETS, allow=(404,)).ok:
            return self.get(registration.name, version)
        try:
            return self._write(registration.name, version, properties, "register model")
        except (InvalidRequestError, ConflictError) as error:
            try:  # a different modelUri on an existing version is refused: somebody was faster
                return self.get(registration.name, version)
            except NotFoundError:
                raise error from None

    def _write(self, name: str, version: str, properties: Mapping[str, Any], operation: str) -> Model:
        url, body = self._url(name, version), {"properties": properties}
        return _model(name, self.http.json("PUT", url, operation=operation, params=versions.ASSETS, json=body))

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


def _uri(source: Source) -> str:
    if source.origin == LOCAL:
        return f"azureml://datastores/{ARTIFACT_STORE}/paths/{LOCAL}/{source.container}/{source.path}"
    return f"azureml://jobs/{source.run_id}/outputs/artifacts/paths/{source.path}"


def _model(name: str, raw: Mapping[str, Any]) -> Model:
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
        created=str((raw.get("systemData") or {}).get("createdAt") or ""),
        raw=raw,
    )


def _job_in(uri: str) -> str:
    """Return the run that a model URI points into, as it was sent or as the service rewrites it."""
    for mark in ("azureml://jobs/", "/ExperimentRun/dcid."):
        if mark in uri:
            return uri.partition(mark)[2].partition("/")[0]
    return ""
