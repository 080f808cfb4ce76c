"""The classic model registry (v1) of the regional data plane: the service counts the versions.

https://learn.microsoft.com/rest/api/azureml/ (modelManagement, MLModels and Assets)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_azml.client.merging import differences
from airflow_azml.client.names import check_model_name, check_model_version
from airflow_azml.client.resources.model import Models
from airflow_azml.client.resources.model_version import Model
from airflow_azml.client.specs.registration import MARKER
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_azml.client.resources.value import Json
    from airflow_azml.client.specs.registration import Registration, Source

MANAGEMENT = "modelmanagement/v1.0"


class ClassicModels(Models):
    """The classic registry."""

    api_version: ClassVar[Json] = {}

    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""
        return _model(self.read(self._url(name, version), {}))

    def update(
        self, name: str, version: str, *, tags: Mapping[str, str] | None = None, description: str | None = None
    ) -> Model:
        """Add or change tags, change the description; return the version as it is now."""
        labels = texts("tags", tags)
        there = self.get(name, version)
        patch: list[dict[str, Any]] = []
        if differences(there.tags, labels, exact=True):
            patch.append({"op": "replace", "path": "/kvTags", "value": {**there.tags, **labels}})
        if description not in {None, there.description}:
            patch.append({"op": "replace", "path": "/description", "value": description})
        if not patch:
            return there
        return _model(self.http.json("PATCH", self._url(name, version), operation="update model", json=patch))

    def archive(self, name: str, version: str, *, archived: bool = True) -> Model:  # noqa: ARG002 - as the other registry
        """Raise InputError: the classic registry has no archive."""
        raise InputError("api", "v1", "has no archive: use api 'v2', which has the same models, for this task")

    def users(self, name: str, version: str) -> Iterator[str]:
        """Yield, in words, what uses a version: deployments of online endpoints, and classic services."""
        yield from super().users(name, version)
        response = self.http.request(
            "GET", self.regional(MANAGEMENT, "services"), operation="list services of model",
            params={"modelId": f"{name}:{version}"}, allow=(404, 501),
        )  # fmt: skip
        for row in (response.json().get("value") or ()) if response.ok else ():
            yield f"{row.get('computeType') or 'classic'} service {row.get('name')}"

    def registered(self, registration: Registration, run_id: str | None = None) -> Model | None:
        """Return the version that has the registration's key, among those of the run."""
        mine = self.list(registration.name, properties={MARKER: registration.key}, run_id=run_id)
        return next(mine, None)

    def make(self, registration: Registration, source: Source) -> Model:
        """POST the asset, then the model that is made of it."""
        if registration.version:
            raise InputError(
                "model_version", registration.version, "cannot be chosen with api 'v1': the service counts versions"
            )
        if source.datastore:
            rule = "is for api 'v2': the classic registry takes the files of runs and of this machine"
            raise InputError("datastore_path", source.path, rule)
        prefix = f"{source.origin}/{source.container}/{source.path}"
        asset = {"name": registration.name, "artifacts": [{"prefix": prefix}]}
        asset_id = self.http.json(
            "POST", self.regional(MANAGEMENT, "assets"), operation="create model asset",
            json={**asset, **({"runid": source.run_id} if source.run_id else {})}, retry="always",
        )["id"]  # fmt: skip
        body = {
            "name": registration.name,
            "url": f"aml://asset/{asset_id}",
            "mimeType": "application/json",
            "unpack": False,
            **({"runId": source.run_id} if source.run_id else {}),
            "datasets": [],
            "kvTags": registration.tags,
            "properties": registration.marked,
            "framework": registration.model_type or "Custom",
            "description": registration.description,
        }
        url = self.regional(MANAGEMENT, "models")
        return self.once(
            lambda: _model(self.http.json("POST", url, operation="register model", json=body, retry="never")),
            lambda: self.registered(registration, source.run_id or None),
        )

    def _listed(self, name: str | None, params: Json, run_id: str | None) -> Iterator[Model]:
        conditions = {
            "name": None if name is None else check_model_name(name),
            "orderBy": "CreatedAtDesc",
            "runId": run_id,
            **params,
        }
        sent = {key: value for key, value in conditions.items() if value}
        rows = self.rows(self.regional(MANAGEMENT, "models"), sent)
        return (model for model in map(_model, rows) if name in {None, model.name})

    def _url(self, name: str, version: str) -> str:
        return self.regional(MANAGEMENT, "models", f"{check_model_name(name)}:{check_model_version(version)}")


def _model(raw: Json) -> Model:
    version = str(raw.get("version") or "")
    return Model.of(
        raw, version=version, tags=raw.get("kvTags") or {}, uri=raw.get("url"), created=raw.get("createdTime")
    )
