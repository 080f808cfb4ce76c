"""The addresses of the pages: those of Azure ML studio, with its query parameter `wsid`, the workspace."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import AllEngines
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.wire import router
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.studio import pages
from airflow_azml.emulator.studio.page import HEADERS, Page

routes = router()


@routes.get("/")
@routes.get("/home")
@routes.get("/model/list")
def home(engines: AllEngines, request: Request) -> Response:
    """The workspace."""
    return _page(request, lambda: pages.home(engines))


@routes.get("/runs/{run_id}")
def run(run_id: str, engines: AllEngines, request: Request) -> Response:
    """A run or job."""
    return _page(request, lambda: pages.run(engines, run_id))


@routes.get("/runs/{run_id}/files/{path:path}")
def file(run_id: str, path: str, engines: AllEngines) -> Response:
    """A file of a run. Whatever it holds, the browser stores it and does not show it."""
    try:
        blob = pages.file(engines, run_id, path)
    except Fault as fault:
        return _fault(fault)
    name = path.rpartition("/")[2]
    return FileResponse(blob.path, headers=HEADERS, media_type="application/octet-stream", filename=name)


@routes.get("/compute/{name}/details")
def compute(name: str, engines: AllEngines, request: Request) -> Response:
    """A compute."""
    return _page(request, lambda: pages.compute(engines, name))


@routes.get("/endpoints/realtime/{name}/detail")
def endpoint(name: str, engines: AllEngines, base: Base, request: Request) -> Response:
    """An online endpoint."""
    return _page(request, lambda: pages.endpoint(engines, name, base))


@routes.get("/model/{name}:{version}/details")
def model(name: str, version: str, engines: AllEngines, request: Request) -> Response:
    """A model version."""
    return _page(request, lambda: pages.model(engines, name, version))


def _page(request: Request, build: Callable[[], Page]) -> Response:
    """Answer a page, or the reason why there is none as one."""
    try:
        _check_workspace(request.query_params.get("wsid", facts.WORKSPACE_PATH))
        return HTMLResponse(build().html(), headers=HEADERS)
    except Fault as fault:
        return _fault(fault)


def _fault(fault: Fault) -> Response:
    page = Page("Error", str(fault.status), {"code": fault.code, "message": fault.message})
    return HTMLResponse(page.html(), fault.status, HEADERS)


def _check_workspace(path: str) -> None:
    if path.casefold() != facts.WORKSPACE_PATH.casefold():
        raise Fault(404, "WorkspaceNotFound", f"The emulator has one workspace, {facts.WORKSPACE_PATH}, not {path}.")
