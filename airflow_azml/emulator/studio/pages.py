"""What stands on the pages: the workspace, a run, a compute, an endpoint, a model version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_azml.emulator.computes import bodies as compute_bodies
from airflow_azml.emulator.computes.engine import Computes
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.endpoints.endpoint_bodies import render as endpoint_json
from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
from airflow_azml.emulator.http.arm_resources import parse_reference
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.metrics.engine import Metrics
from airflow_azml.emulator.mlflow.records import Parameters
from airflow_azml.emulator.models.registry import Models
from airflow_azml.emulator.runs.bodies import LOG_FOLDERS
from airflow_azml.emulator.runs.history import TERMINAL, Runs
from airflow_azml.emulator.storage.blobs import BlobStore
from airflow_azml.emulator.studio.page import Link, Page, Table, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_azml.emulator.http.engines import Engines
    from airflow_azml.emulator.kernel.store import Document
    from airflow_azml.emulator.storage.blobs import Blob

NEWEST = 50  # runs of a list
MOST_FILES = 500  # of a run
LOG_BYTES = 64 * 1024  # of the end of a log
LOG_LINES = 200  # of a deployment's log
RUNS = ("run", "experiment", "status", "compute", "created", "seconds")


def home(engines: Engines) -> Page:
    """The workspace: its newest runs, and all computes, endpoints and models."""
    computes = [(_compute_link(each["name"]), each["provisioningState"]) for each in engines[Computes].list()]
    endpoints = [(_endpoint_link(each["name"]), each["state"]) for each in engines[OnlineEndpoints].list()]
    models = [(_model_link(each), each["created"], _run_link(each["runId"])) for each in engines[Models].list()]
    parts = (
        _runs("Newest runs", engines[Runs].all()),
        Table("Computes", ("compute", "state"), computes),
        Table("Endpoints", ("endpoint", "state"), endpoints),
        Table("Models", ("model", "created", "run"), models),
    )
    return Page("Workspace", facts.WORKSPACE, {"resource group": facts.RESOURCE_GROUP}, parts)


def run(engines: Engines, run_id: str) -> Page:
    """A run: how it went, its metrics, its files and its logs."""
    found = engines[Runs].get(run_id)
    definition, files = engines[Runs].definition(found), _files(engines, found)
    said = {
        "status": found["status"],
        "error": ((found.get("error") or {}).get("error") or {}).get("message"),
        "experiment": found["experimentName"],
        "compute": _compute_link(found["target"]) if found.get("target") else None,
        "parent run": _run_link(found.get("parentRunId")),
        "created": found["createdUtc"],
        "started": found.get("startTimeUtc"),
        "ended": found.get("endTimeUtc"),
        "seconds": _seconds(found),
        "script": definition.get("script"),
        "command": definition.get("command"),
        "arguments": definition.get("arguments"),
    }
    children = [child for child in engines[Runs].all() if child.get("parentRunId") == found["runId"]]
    parts: tuple[Table | Text, ...] = (
        _metrics(engines, found["runId"]),
        Table.of("Parameters", engines[Parameters].of_run(found["runId"])),
        _runs("Child runs", children),
        Table.of("Tags", found["tags"]),
        Table.of("Properties", found["properties"]),
        Table(
            "Files" if len(files) <= MOST_FILES else f"The first {MOST_FILES} of {len(files)} files",
            ("file", "bytes"),
            [(_file_link(found, name), blob.size) for name, blob in files[:MOST_FILES]],
        ),
        *(Text(name, _tail(blob)) for name, blob in files if name.partition("/")[0] in LOG_FOLDERS),
    )
    return Page("Run", found["runId"], said, parts, moving=found["status"] not in TERMINAL)


def file(engines: Engines, run_id: str, path: str) -> Blob:
    """A file of a run."""
    return engines[BlobStore].get(facts.ARTIFACT_CONTAINER, _root(engines[Runs].get(run_id)) + path)


def compute(engines: Engines, name: str) -> Page:
    """A compute: its size, its nodes and the runs that were sent to it."""
    found = engines[Computes].get(name)
    outer = compute_bodies.resource(found)["properties"]
    inner = outer["properties"]
    shown = ("vmSize", "vmPriority", "state", "allocationState", "scaleSettings", "currentNodeCount")
    said = {
        "state": outer["provisioningState"],
        "type": outer["computeType"],
        **{member: inner.get(member) for member in shown},
        "created": outer["createdOn"],
    }
    nodes = [(node["id"], node["state"], _run_link(node["run"])) for node in found["nodes"]]
    sent = [each for each in engines[Runs].all() if (each.get("target") or "").casefold() == found["name"].casefold()]
    parts = (
        Table("Nodes", ("node", "state", "run"), nodes),
        _runs("Newest runs", sent),
        Table.of("Tags", found["spec"]["tags"]),
    )
    return Page("Compute", found["name"], said, parts, moving=True)


def endpoint(engines: Engines, name: str, base: str) -> Page:
    """An online endpoint with its deployments and their logs."""
    found = engines[OnlineEndpoints].get(name)
    inner = endpoint_json(found, base)["properties"]
    said = {
        "state": inner["provisioningState"],
        "authentication": inner["authMode"],
        "scoring URI": inner["scoringUri"],
        "traffic": inner["traffic"],
    }
    deployments = engines[OnlineDeployments].list(found["name"])
    rows = [
        (each["name"], each["state"], _deployed_model(each), each["spec"]["instanceType"], each["sku"]["capacity"])
        for each in deployments
    ]
    logs = [
        (each["name"], engines[OnlineDeployments].logs(found["name"], each["name"], LOG_LINES)) for each in deployments
    ]
    parts: tuple[Table | Text, ...] = (
        Table("Deployments", ("deployment", "state", "model", "machine", "machines"), rows),
        Table.of("Tags", found["tags"]),
        *(Text(f"Log of {deployment}", text) for deployment, text in logs),
    )
    return Page("Endpoint", found["name"], said, parts, moving=found["state"] != "Succeeded")


def model(engines: Engines, name: str, version: str) -> Page:
    """A model version with its files."""
    found = engines[Models].get(name, version)
    said = {
        "run": _run_link(found["runId"]),
        "created": found["created"],
        "description": found["description"],
        "used by": ", ".join(engines[OnlineDeployments].using("models", found["name"], found["version"])),
    }
    files = [(path, where.stat().st_size) for path, where in engines[Models].files(found["name"], found["version"])]
    others = [(_model_link(each), each["created"]) for each in engines[Models].list(found["name"]) if each != found]
    parts = (
        Table.of("Tags", found["tags"]),
        Table.of("Properties", found["properties"]),
        Table("Files", ("file", "bytes"), files),
        Table("Other versions", ("model", "created"), others),
    )
    return Page("Model", f"{found['name']}:{found['version']}", said, parts)


def _runs(title: str, runs: Iterable[Document]) -> Table:
    newest = sorted(runs, key=lambda each: str(each["createdUtc"]), reverse=True)[:NEWEST]
    rows = [
        (
            _run_link(each["runId"]),
            each["experimentName"],
            each["status"],
            _compute_link(each["target"]) if each.get("target") else "",
            each["createdUtc"],
            _seconds(each),
        )
        for each in newest
    ]
    return Table(title, RUNS, rows)


def _metrics(engines: Engines, run_id: str) -> Table:
    """The last value of each metric; one of several columns, such as a table, is shown as a row."""
    rows = []
    for name, metrics in engines[Metrics].by_name(run_id).items():
        cells = [cell for metric in metrics for cell in metric["cells"]]
        last = cells[-1] if cells else {}
        rows.append((name, last.get(name, last) if isinstance(last, dict) else last, len(cells)))
    return Table("Metrics", ("metric", "last value", "values"), rows)


def _seconds(found: Document) -> float | None:
    if not found.get("startTimeUtc"):
        return None
    end = datetime.fromisoformat(found["endTimeUtc"]) if found.get("endTimeUtc") else datetime.now(UTC)
    return round((end - datetime.fromisoformat(found["startTimeUtc"])).total_seconds(), 1)


def _root(found: Document) -> str:
    return f"ExperimentRun/{found['dataContainerId']}/"


def _files(engines: Engines, found: Document) -> list[tuple[str, Blob]]:
    root = _root(found)
    return [(blob.name.removeprefix(root), blob) for blob in engines[BlobStore].list(facts.ARTIFACT_CONTAINER, root)]


def _tail(blob: Blob) -> str:
    with blob.path.open("rb") as log:
        log.seek(max(blob.size - LOG_BYTES, 0))
        return log.read(LOG_BYTES).decode(errors="replace")


def _deployed_model(deployment: Document) -> Any:
    reference = deployment["spec"]["model"]
    if not reference:
        return ""
    name, version = parse_reference(reference, "models")
    return _model_link({"name": name, "version": version})


def _run_link(run_id: str | None) -> Link | str:
    return Link(run_id, f"/runs/{quote(run_id, safe='')}") if run_id else ""


def _file_link(found: Document, path: str) -> Link:
    return Link(path, f"/runs/{quote(found['runId'], safe='')}/files/{quote(path)}")


def _compute_link(name: str) -> Link:
    return Link(name, f"/compute/{quote(name, safe='')}/details")


def _endpoint_link(name: str) -> Link:
    return Link(name, f"/endpoints/realtime/{quote(name, safe='')}/detail")


def _model_link(found: Document) -> Link:
    shown = f"{found['name']}:{found['version']}"
    return Link(shown, f"/model/{quote(found['name'], safe='')}:{quote(found['version'], safe='')}/details")
