"""The artifact service in its three spellings: the specification's, azureml-core's, and the mirror below a run.

The specification writes `artifacts/{origin}/{container}/{verb}?path=`, azureml-core
`artifacts/{verb}/{origin}/{container}/{path}`, the run history `runs/{run_id}/artifacts/{verb}?path=`.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from airflow_azml.emulator.http import faults
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.streams import read, receive
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick, pick_text, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.runs.history import Runs
from airflow_azml.emulator.storage import artifacts
from airflow_azml.emulator.storage.artifacts import Address
from airflow_azml.emulator.storage.blobs import BlobStore

routes = router("/artifact/v2.0" + WORKSPACE_PATH + "/artifacts", REGIONAL)
mirror = router("/history/v1.0" + WORKSPACE_PATH + "/experiments/{experiment}/runs/{run_id}/artifacts", REGIONAL)
PAGE_SIZE = 500
SPEC, SDK = "/{origin}/{container}", "/{origin}/{container}/{path:path}"


async def _where(request: Request, runs: Engine[Runs], query: FoldedQuery) -> Address:
    given = request.path_params
    path = given.get("path") or query.get("path")
    if "run_id" in given:
        run = runs.get(given["run_id"], given["experiment"])
        return artifacts.address("ExperimentRun", run["dataContainerId"], path)
    return artifacts.address(given["origin"], given["container"], path)


Where = Annotated[Address, Depends(_where)]


@routes.get(SPEC + "/metadata")
@routes.get("/metadata" + SDK)
@mirror.get("/metadata")
def get_artifact(blobs: Engine[BlobStore], where: Where) -> dict[str, Any]:
    """Artifacts_Get, RunArtifacts_GetById."""
    artifacts.get(blobs, where)
    return artifacts.artifact_json(blobs, where)


@routes.delete(SPEC + "/metadata")
@routes.delete("/metadata" + SDK)
def delete_artifact(blobs: Engine[BlobStore], where: Where) -> Response:
    """Artifacts_DeleteMetaData; here the content goes with it."""
    blobs.delete(facts.ARTIFACT_CONTAINER, artifacts.get(blobs, where).name)
    return Response()


@routes.get(SPEC + "/contentinfo")
@routes.get("/contentinfo" + SDK)
@mirror.get("/contentinfo")
def get_content_information(blobs: Engine[BlobStore], base: Base, where: Where) -> dict[str, Any]:
    """Artifacts_GetContentInformation: a URL to read from."""
    artifacts.get(blobs, where)
    return artifacts.content_json(blobs, where, base)


@mirror.get("/artifacturi")
def get_artifact_uri(blobs: Engine[BlobStore], base: Base, where: Where) -> str:
    """RunArtifacts_GetSasUri: the same, as a bare string."""
    return str(get_content_information(blobs, base, where)["contentUri"])


@routes.get(SPEC + "/write")
@routes.get("/write" + SDK)
def get_write_sas(blobs: Engine[BlobStore], base: Base, where: Where) -> dict[str, Any]:
    """Artifacts_GetSas: a URL to write to."""
    return artifacts.content_json(blobs, where, base, artifacts.WRITE)


@routes.get(SPEC + "/prefix/contentinfo")
@routes.get("/prefix/contentinfo" + SDK)
@routes.get("/prefix/contentinfo" + SPEC)
@mirror.get("/prefix/contentinfo")
def list_content_information(
    blobs: Engine[BlobStore], base: Base, where: Where, query: FoldedQuery, request: Request
) -> dict[str, Any]:
    """Artifacts_ListSasByPrefix."""
    page, rest = _page(blobs, where, query, request, base)
    return {"value": [artifacts.content_json(blobs, one, base) for one in page], **rest}


@routes.post("/batch/metadata")
def get_artifacts(blobs: Engine[BlobStore], base: Base, body: JsonObject) -> dict[str, Any]:
    """Artifacts_BatchGetById."""
    found = _batch()
    for artifact_id in _listed(body, "artifactIds"):
        origin, _, rest = str(artifact_id).partition("/")
        container, _, path = rest.partition("/")
        where = artifacts.address(origin, container, path)
        if artifacts.find(blobs, where):
            _put(blobs, base, found, str(artifact_id), where, "r")
        else:
            error = Fault(404, "ArtifactNotFound", f"Artifact with id {artifact_id} was not found.")
            found["errors"][artifact_id] = faults.item_envelope(error)
    return found


@routes.post(SPEC + "/batch/metadata")
@routes.post("/batch/metadata" + SPEC)
@mirror.post("/batch/metadata")
def create_empty_artifacts(blobs: Engine[BlobStore], base: Base, where: Where, body: JsonObject) -> dict[str, Any]:
    """Artifacts_BatchCreateEmptyArtifacts: URLs to write to; what exists already is not handed out again."""
    created = _batch()
    for item in _listed(body, "paths"):
        path = pick_text(item, "path")
        wanted = where.at(path.strip("/"))
        if artifacts.find(blobs, wanted):
            error = Fault(409, "Conflict", f"Resource Conflict: ArtifactId {wanted.name} already exists.")
            created["errors"][path] = faults.item_envelope(error)
        else:
            _put(blobs, base, created, path, wanted, artifacts.WRITE)
    return created


@routes.get(SPEC + "/content")
@routes.get("/content" + SDK)
def download(blobs: Engine[BlobStore], where: Where) -> Response:
    """Artifacts_Download: the content through the service."""
    blob = artifacts.get(blobs, where)
    headers = {"Content-Length": str(blob.size), "ETag": blob.etag}
    return StreamingResponse(read(blob.path, 0, blob.size), headers=headers, media_type=blob.content_type)


@routes.post(SPEC + "/content")
@routes.post("/content" + SDK)
async def upload(blobs: Engine[BlobStore], where: Where, query: FoldedQuery, request: Request) -> dict[str, Any]:
    """Artifacts_Upload: the content through the service, all of it or what is to be appended."""
    artifacts.find(blobs, where)  # refuses what is no address before the body is read
    with blobs.upload() as file:
        await receive(request, file)
        await run_in_threadpool(_store, blobs, where, file, query)
    return artifacts.artifact_json(blobs, where)


def _store(blobs: BlobStore, where: Address, file: Path, query: dict[str, str]) -> None:
    append, overwrite = (query.get(name, "").casefold() == "true" for name in ("append", "allowoverwrite"))
    with blobs.writing(facts.ARTIFACT_CONTAINER, where.name):
        if not append and not overwrite and artifacts.find(blobs, where):
            raise faults.conflict("Conflict", f"Resource Conflict: ArtifactId {where.name} already exists.")
        (blobs.append if append else blobs.commit)(file, facts.ARTIFACT_CONTAINER, where.name)


@routes.get(SPEC)
@routes.get(SDK)
@mirror.get("")
@mirror.get("/path")
def list_artifacts(
    blobs: Engine[BlobStore], base: Base, where: Where, query: FoldedQuery, request: Request
) -> dict[str, Any]:
    """Artifacts_ListInContainer, RunArtifacts_ListInPath."""
    page, rest = _page(blobs, where, query, request, base)
    return {"value": [artifacts.artifact_json(blobs, one) for one in page], **rest}


def _page(
    blobs: BlobStore, where: Address, query: dict[str, str], request: Request, base: str
) -> tuple[list[Address], dict[str, str]]:
    """Return a page of what is there, and how to ask for the next one; the token is the last path."""
    found = list(islice(artifacts.tree(blobs, where, query.get("continuationtoken", "")), PAGE_SIZE + 1))
    page = found[:PAGE_SIZE]
    if len(page) == len(found):
        return page, {}
    last = page[-1].path
    following = urlencode({**query, "continuationtoken": last}).replace("continuationtoken", "continuationToken")
    link = f"{base}{quote(request.url.path)}?{following}"
    return page, {"continuationToken": last, "nextLink": link}


def _batch() -> dict[str, Any]:
    return {"artifacts": {}, "artifactContentInformation": {}, "errors": {}}


def _put(blobs: BlobStore, base: str, batch: dict[str, Any], key: str, where: Address, permissions: str) -> None:
    batch["artifacts"][key] = artifacts.artifact_json(blobs, where)
    batch["artifactContentInformation"][key] = artifacts.content_json(blobs, where, base, permissions)


def _listed(body: dict[str, Any], name: str) -> list[Any]:
    value = pick(body, name)
    if not isinstance(value, list):
        raise bad_request(f"'{name}' must be a list.", target=name)
    return value
