"""The classic model registry of the regional data plane: the service counts the versions.

https://learn.microsoft.com/rest/api/azureml/ (modelManagement, MLModels and Assets)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.client.merging import differences
from airflow_azml.client.models import Model, Models, Registration, Source, has_tags, tag_query
from airflow_azml.client.names import check_model_name, check_model_version
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MANAGEMENT = "modelmanagement/v1.0"


class ModelManagementModels(Models):
    """The classic registry."""

    def get(self, name: str, version: str) -> Model:
        """Return a version; NotFoundError when there is none."""
        return _model(self.http.json("GET", self._url(name, version), operation="get model"))

    def list(
        self, name: str | None = None, *, tags: Mapping[str, str | None] | None = None, run_id: str | None = None
    ) -> Iterator[Model]:
        """Yield the versions of a model, or of all models, the newest first; none when there is no such model."""
        told = {
            "name": name if name is None else check_model_name(name),
            "orderBy": "CreatedAtDesc",
            "runId": run_id,
            **tag_query(tags),
        }
        params = {key: value for key, value in told.items() if value}
        rows = self.http.pages("GET", self.regional(MANAGEMENT, "models"), operation="list models", params=params)
        found = (_model(row) for row in rows if name in {None, row.get("name")})
        return (model for model in found if has_tags(model, tags) and run_id in {None, model.run_id})

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

    def users(self, name: str, version: str) -> Iterator[str]:
        """Yield, in words, what uses a version: deployments of online endpoints, and classic services."""
        yield from super().users(name, version)
        response = self.http.request(
            "GET", self.regional(MANAGEMENT, "services"), operation="list services of model",
            params={"modelId": f"{name}:{version}"}, allow=(404, 501),
        )  # fmt: skip
        for row in (response.json().get("value") or ()) if response.ok else ():
            yield f"{row.get('computeType') or 'classic'} service {row.get('name')}"

    def _delete(self, name: str, version: str) -> bool:
        return self._deleted(self._url(name, version))

    def _create(self, source: Source, registration: Registration) -> Model:
        """POST the asset, then the model that is made of it."""
        if registration.version:
            raise InputError(
                "model_version", registration.version, "cannot be chosen with api 'v1': the service counts versions"
            )
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
            "kvTags": registration.labels(),
            "properties": registration.marked(),
            "framework": registration.model_type or "Custom",
            "description": registration.description,
        }
        url = self.regional(MANAGEMENT, "models")
        return self.once(
            lambda: _model(self.http.json("POST", url, operation="register model", json=body, retry="never")),
            lambda: self._registered(registration, source.run_id or None),
        )

    def _url(self, name: str, version: str) -> str:
        return self.regional(MANAGEMENT, "models", f"{check_model_name(name)}:{check_model_version(version)}")


def _model(raw: Mapping[str, Any]) -> Model:
    return Model(
        name=str(raw.get("name") or ""),
        version=str(raw.get("version") or ""),
        id=str(raw.get("id") or ""),
        tags=raw.get("kvTags") or {},
        properties=raw.get("properties") or {},
        description=str(raw.get("description") or ""),
        run_id=str(raw.get("runId") or ""),
        uri=str(raw.get("url") or ""),
        created=str(raw.get("createdTime") or ""),
        raw=raw,
    )
