"""The execution service: starting runs, of a zipped project or of a snapshot, and cancelling them."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import bad_request, too_large
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, FoldedQuery, JsonObject, pick_text, read_json, router
from airflow_azml.emulator.identity.access import REGIONAL
from airflow_azml.emulator.runs import definitions, members, projects
from airflow_azml.emulator.runs.executor import Executor
from airflow_azml.emulator.runs.history import Runs
from airflow_azml.emulator.storage.snapshots import Snapshots

MAX_DEFINITION = 10 << 20  # bytes

routes = router("/execution/v1.0" + WORKSPACE_PATH, REGIONAL)


async def _form(request: Request) -> AsyncIterator[FormData]:
    """Read the multipart body; large parts are spooled to disk."""
    try:
        async with request.form() as form:
            yield form
    except HTTPException as error:
        raise bad_request(f"The multipart body cannot be read: {error.detail}", code="InvalidMultipart") from error


@routes.post("/experiments/{experiment}/startrun")
def start_run(
    experiment: str, query: FoldedQuery, executor: Engine[Executor], form: Annotated[FormData, Depends(_form)]
) -> dict[str, str]:
    """Start a run of a zipped project; `runId` is the caller's, so that it can ask whether an earlier call arrived."""
    definition = _definition(form)
    return _start(executor, experiment, query, definition, lambda path: _receive(form, path))


@routes.post("/experiments/{experiment}/snapshotrun")
def start_snapshot_run(
    experiment: str,
    query: FoldedQuery,
    snapshots: Engine[Snapshots],
    executor: Engine[Executor],
    definition: JsonObject,
) -> dict[str, str]:
    """Start a run of a snapshot, which it names among its properties."""
    snapshot_id = snapshots.get(pick_text(definition, "snapshotId"))["id"]
    properties = {"ContentSnapshotId": snapshot_id}
    return _start(
        executor, experiment, query, definition, lambda path: snapshots.zip(snapshot_id, path), properties=properties
    )


@routes.post("/experiments/{experiment}/runId/{run_id}/cancel")
def cancel_run(experiment: str, run_id: str, runs: Engine[Runs], executor: Engine[Executor]) -> dict[str, str]:
    """Cancel a run."""
    run = runs.get(run_id, experiment)
    executor.cancel(run["runId"])
    return {"runId": run["runId"]}


def _start(
    executor: Executor,
    experiment: str,
    query: dict[str, str],
    definition: dict[str, Any],
    write_project: Callable[[Path], None],
    properties: dict[str, str] | None = None,
) -> dict[str, str]:
    run_id = query.get("runid") or f"{experiment[:200]}_{int(time.time())}_{uuid.uuid4().hex[:8]}"
    configuration = definitions.configuration_of(definition)
    members.check(definition)
    spec = definitions.read(configuration, run_id)
    project = executor.incoming / f"{uuid.uuid4().hex}.zip"
    further = _members(definition, configuration, properties or {})
    try:
        write_project(project)
        executor.submit(experiment, run_id, configuration, spec, project, **further)
    except BaseException:  # whatever refused the run: its project is nobody's
        project.unlink(missing_ok=True)
        raise
    return {"runId": run_id}


def _members(definition: dict[str, Any], configuration: dict[str, Any], properties: dict[str, str]) -> dict[str, Any]:
    """Return the members of the Run that its definition sets."""
    if source := pick_text(definition, "runType", default=""):
        properties = {**properties, "azureml.runsource": source}
    parent, name = pick_text(definition, "parentRunId", default=""), pick_text(configuration, "jobName", default="")
    given = {"parentRunId": parent, "displayName": name, "properties": properties}
    return {member: value for member, value in given.items() if value}


def _definition(form: FormData) -> dict[str, Any]:
    part = form.get("runDefinitionFile")
    if part is None:
        raise bad_request("The part 'runDefinitionFile' is required.", target="runDefinitionFile")
    raw = part.file.read(MAX_DEFINITION + 1) if isinstance(part, UploadFile) else part.encode()
    if len(raw) > MAX_DEFINITION:
        raise too_large("'runDefinitionFile'", MAX_DEFINITION)
    definition = read_json(raw, "'runDefinitionFile'")
    if not isinstance(definition, dict):
        raise bad_request("'runDefinitionFile' must hold a JSON object.", target="runDefinitionFile")
    return definition


def _receive(form: FormData, path: Path) -> None:
    part = form.get("projectZipFile")
    if not isinstance(part, UploadFile):
        raise bad_request("The file part 'projectZipFile' is required.", target="projectZipFile")
    projects.check(part.file)
    part.file.seek(0)
    with path.open("wb") as stream:
        shutil.copyfileobj(part.file, stream)
