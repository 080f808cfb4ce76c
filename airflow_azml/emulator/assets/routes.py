"""Resource Manager's codes and environments."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.assets.versioned import Assets, Codes, Environments
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.http import arm_resources
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.operation_headers import Headers
from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick_text, router
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import Document
from airflow_azml.emulator.storage.blobs import BlobStore

routes = router(WORKSPACE_PATH, ARM)
UPLOAD = "TemporaryBlobReference"


@routes.get("/codes/{name}/versions")
def list_codes(codes: Engine[Codes], pager: Paged, name: str, hash: str = "") -> dict[str, Any]:  # noqa: A002 - the parameter's name on the wire
    """Code Versions - List; by hash it looks through all names, because clients make up a new name for each upload."""
    found = codes.versions("" if hash else name)
    return pager.page([codes.render(code) for code in found if _has_hash(code, hash)])


@routes.post("/codes/{name}/versions/{version}/startPendingUpload")
def start_pending_upload(blobs: Engine[BlobStore], base: Base, body: JsonObject) -> dict[str, Any]:
    """Code Versions - Create Or Get Start Pending Upload: a container of its own and a signature to write to it."""
    kind = pick_text(body, "pendingUploadType", default=UPLOAD)
    if kind.casefold() != UPLOAD.casefold():
        raise bad_request(f"'pendingUploadType' must be {UPLOAD}.", target="pendingUploadType")
    container = str(uuid.uuid4())
    blobs.create_container(container)
    sas = blobs.sas(base, container, permissions="rcwl")
    reference = {
        "blobUri": sas.partition("?")[0],
        "storageAccountArmId": (
            f"/subscriptions/{facts.SUBSCRIPTION}/resourceGroups/{facts.RESOURCE_GROUP}"
            f"/providers/Microsoft.Storage/storageAccounts/{facts.STORAGE_ACCOUNT}"
        ),
        "credential": {"credentialType": "SAS", "sasUri": sas},
    }
    return {"blobReferenceForConsumption": reference, "pendingUploadId": container, "pendingUploadType": UPLOAD}


@routes.put("/codes/{name}/versions/{version}")
def put_code(codes: Engine[Codes], headers: Headers, name: str, version: str, body: JsonObject) -> Response:
    """Code Versions - Create Or Update: 201 with its address when it did not exist."""
    code, new = codes.put(name, version, body)
    answer = codes.render(code)
    return JSONResponse(answer, 201, headers.resource(answer["id"])) if new else JSONResponse(answer)


@routes.get("/codes")
def list_code_containers(codes: Engine[Codes], pager: Paged) -> dict[str, Any]:
    """Code Containers - List."""
    return pager.page([codes.render_container(name) for name in codes.names()])


@routes.get("/codes/{name}")
def get_code_container(codes: Engine[Codes], name: str) -> dict[str, Any]:
    """Code Containers - Get."""
    return codes.render_container(name)


@routes.delete("/codes/{name}")
def delete_code_container(codes: Engine[Codes], deployments: Engine[OnlineDeployments], name: str) -> Response:
    """Code Containers - Delete, with all versions."""
    return _delete(codes, codes.versions(name), deployments)


@routes.delete("/codes/{name}/versions/{version}")
def delete_code(codes: Engine[Codes], deployments: Engine[OnlineDeployments], name: str, version: str) -> Response:
    """Code Versions - Delete."""
    return _delete(codes, [codes.find(name, version)], deployments)


@routes.get("/codes/{name}/versions/{version}")
def get_code(codes: Engine[Codes], name: str, version: str) -> dict[str, Any]:
    """Code Versions - Get."""
    return codes.render(codes.get(name, version))


@routes.get("/environments")
def list_environments(environments: Engine[Environments], pager: Paged, query: FoldedQuery) -> dict[str, Any]:
    """Environment Containers - List."""
    shown = arm_resources.in_view(query)
    containers = [environments.render_container(name) for name in environments.names()]
    return pager.page([container for container in containers if container["properties"]["isArchived"] in shown])


@routes.get("/environments/{name}")
def get_environment_container(environments: Engine[Environments], name: str) -> dict[str, Any]:
    """Environment Containers - Get."""
    return environments.render_container(name)


@routes.get("/environments/{name}/versions")
def list_environment_versions(
    environments: Engine[Environments], pager: Paged, name: str, query: FoldedQuery
) -> dict[str, Any]:
    """Environment Versions - List, the newest first."""
    shown, found = arm_resources.in_view(query), environments.versions(name)
    return pager.page([environments.render(one) for one in found if one["spec"]["isArchived"] in shown])


@routes.put("/environments/{name}/versions/{version}")
def put_environment(
    environments: Engine[Environments], headers: Headers, name: str, version: str, body: JsonObject
) -> Response:
    """Environment Versions - Create Or Update: 201, also when it existed."""
    environment, _ = environments.put(name, version, body)
    answer = environments.render(environment)
    return JSONResponse(answer, 201, headers.resource(answer["id"]))


@routes.get("/environments/{name}/versions/{version}")
def get_environment(environments: Engine[Environments], name: str, version: str) -> dict[str, Any]:
    """Environment Versions - Get."""
    return environments.render(environments.get(name, version))


@routes.delete("/environments/{name}")
def delete_environment_container(
    environments: Engine[Environments], deployments: Engine[OnlineDeployments], name: str
) -> Response:
    """Environment Containers - Delete, with all versions."""
    return _delete(environments, environments.versions(name), deployments)


@routes.delete("/environments/{name}/versions/{version}")
def delete_environment(
    environments: Engine[Environments], deployments: Engine[OnlineDeployments], name: str, version: str
) -> Response:
    """Environment Versions - Delete."""
    return _delete(environments, [environments.find(name, version)], deployments)


def _delete(assets: Assets, versions: Iterable[Document | None], deployments: OnlineDeployments) -> Response:
    deleted = assets.delete([version for version in versions if version], deployments.using)
    return Response(status_code=200 if deleted else 204)


def _has_hash(code: dict[str, Any], wanted: str) -> bool:
    return not wanted or code["spec"]["properties"].get("hash_sha256") == wanted
