"""Model management (v1): assets and models. Its services on ACI and AKS are not offered: a named 501 answers."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Depends
from fastapi.responses import Response

from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request, not_found
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonBody, JsonObject, pick_text, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.models import bodies
from airflow_azml.emulator.models.filters import accepts
from airflow_azml.emulator.models.registry import Models
from airflow_azml.emulator.models.v1_assets import ModelAssets

routes = router("/modelmanagement/v1.0" + WORKSPACE_PATH, REGIONAL)
ORDERS = {
    "createdatdesc": ("ordinal", True),
    "createdatasc": ("ordinal", False),
    "updatedatdesc": ("modified", True),
    "updatedatasc": ("modified", False),
}


@routes.post("/assets")
def create_asset(assets: Engine[ModelAssets], body: JsonObject) -> dict[str, Any]:
    """Assets_Create."""
    return assets.create(body)


@routes.get("/assets")
def list_assets(assets: Engine[ModelAssets], pager: Paged, query: FoldedQuery) -> dict[str, Any]:
    """Assets_ListQuery."""
    wanted = accepts(query, {"name": "name", "runid": "runid"}, {"tags": "kvTags", "properties": "properties"})
    return pager.page([asset for asset in assets.list() if wanted(asset)])


@routes.get("/assets/{asset_id}")
def get_asset(assets: Engine[ModelAssets], asset_id: str) -> dict[str, Any]:
    """Assets_QueryById."""
    return assets.get(asset_id)


@routes.patch("/assets/{asset_id}")
def patch_asset(assets: Engine[ModelAssets], asset_id: str, body: JsonBody) -> dict[str, Any]:
    """Assets_Patch."""
    return assets.patch(asset_id, body)


@routes.delete("/assets/{asset_id}")
def delete_asset(assets: Engine[ModelAssets], asset_id: str) -> Response:
    """Assets_Delete."""
    return Response(status_code=200 if assets.delete(asset_id) else 204)


@routes.post("/models")
def register_model(assets: Engine[ModelAssets], models: Engine[Models], body: JsonObject) -> dict[str, Any]:
    """MLModels_Register: the next version of the name, whatever was registered before."""
    fields = bodies.read_v1(body)
    locations = assets.locations(fields["url"])
    model, _ = models.register(pick_text(body, "name"), "", {**fields, "locations": locations})
    return bodies.render_v1(model)


@routes.get("/models")
def list_models(models: Engine[Models], pager: Paged, query: FoldedQuery) -> dict[str, Any]:
    """MLModels_ListQuery."""
    same = {"name": "name", "framework": "framework", "description": "description", "runid": "runId"}
    wanted = accepts(query, same, {"tag": "tags", "tags": "tags", "properties": "properties"})
    found = [model for model in models.list() if bodies.has_v1_version(model) and wanted(model)]
    order = query.get("orderby", "CreatedAtDesc")
    if order.casefold() not in ORDERS:
        raise bad_request(f"'{order}' is not an order of models.", target="orderBy")
    if query.get("latestversiononly", "").casefold() == "true":
        found = list({model["name"]: model for model in reversed(found)}.values())
    field, descending = ORDERS[order.casefold()]
    found.sort(key=lambda model: model[field], reverse=descending)
    return pager.page([bodies.render_v1(model) for model in found])


async def _known(models: Engine[Models], model_id: str) -> Document:
    """Return the version that an id (`name:version`) names."""
    name, _, version = model_id.rpartition(":")
    model = models.find(name, version)
    if model is None or not bodies.has_v1_version(model):
        raise not_found("Model", model_id)
    return model


Known = Annotated[Document, Depends(_known)]


@routes.get("/models/{model_id}")
def get_model(model: Known) -> dict[str, Any]:
    """MLModels_QueryById."""
    return bodies.render_v1(model)


@routes.patch("/models/{model_id}")
def patch_model(models: Engine[Models], model: Known, body: JsonBody) -> dict[str, Any]:
    """MLModels_Patch."""

    def edit(present: Document) -> None:
        bodies.patch_v1(present, body)

    return bodies.render_v1(models.change(model["name"], model["version"], edit))


@routes.delete("/models/{model_id}")
def delete_model(models: Engine[Models], deployments: Engine[OnlineDeployments], model_id: str) -> Response:
    """MLModels_Delete: 204 when there is no such version, 412 when a deployment uses it."""
    name, _, version = model_id.rpartition(":")
    users = partial(deployments.using, "models")
    return Response(status_code=200 if models.delete(name, version, users) else 204)
