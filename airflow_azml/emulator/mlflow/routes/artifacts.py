"""MLflow's artifact proxy (`mlflow-artifacts:`): by it `mlflow.log_artifact` reaches the artifacts of a run.

Its paths are artifact ids: `ExperimentRun/dcid.{runId}/{path}`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response, StreamingResponse

from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.streams import read, receive
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.mlflow.files import children
from airflow_azml.emulator.storage import artifacts
from airflow_azml.emulator.storage.artifacts import Address
from airflow_azml.emulator.storage.blobs import BlobStore

routes = router("/mlflow/v1.0" + WORKSPACE_PATH + "/api/2.0/mlflow-artifacts/artifacts", REGIONAL)


async def _where(request: Request, query: FoldedQuery) -> Address:
    origin, _, rest = (request.path_params.get("path") or query.get("path", "")).partition("/")
    container, _, path = rest.partition("/")
    return artifacts.address(origin, container, path)


Where = Annotated[Address, Depends(_where)]


@routes.get("")
def list_artifacts(blobs: Engine[BlobStore], where: Where) -> dict[str, Any]:
    """List one level of a tree, by the names there."""
    return {"files": children(blobs, where)}


@routes.get("/{path:path}")
def download(blobs: Engine[BlobStore], where: Where) -> Response:
    """Download an artifact."""
    blob = artifacts.get(blobs, where)
    headers = {"Content-Length": str(blob.size)}
    return StreamingResponse(read(blob.path, 0, blob.size), headers=headers, media_type=blob.content_type)


@routes.put("/{path:path}")
async def upload(blobs: Engine[BlobStore], where: Where, request: Request) -> dict[str, Any]:
    """Upload an artifact, over what was there."""
    artifacts.find(blobs, where)  # refuses what is no address before the body is read
    with blobs.upload() as file:
        await receive(request, file)
        blobs.commit(file, facts.ARTIFACT_CONTAINER, where.name)
    return {}
