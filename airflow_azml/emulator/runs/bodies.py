"""A run as the run history answers it: `Run` and `RunDetails` of its specification.

Members without a value are left out: the specification gives none of them a null.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import addresses
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document
    from airflow_azml.emulator.storage.blobs import BlobStore

OURS = ("work", "experimentName")  # members of the document that the service's Run does not have
LOG_FOLDERS = ("azureml-logs", "logs", "system_logs", "user_logs")
CREATOR = {"userTenantId": facts.TENANT, "userName": facts.CLIENT_ID}
LOG_HOURS = 8


def run_json(run: Document, base: str) -> dict[str, Any]:
    """Render a run."""
    scope = f"{facts.WORKSPACE_PATH}/experiments/{run['experimentName']}"
    work = run["work"]
    rendered = {name: value for name, value in run.items() if name not in OURS}
    rendered |= {
        "createdBy": CREATOR,
        "lastModifiedBy": CREATOR,
        "userId": facts.CLIENT_ID,
        "heartbeatEnabled": False,
        "options": {"generateDataContainerIdIfNotSpecified": True},
        "services": {"Studio": {"jobServiceType": "Studio", "endpoint": _studio(run["runId"], base)}},
        "outputs": {},
        "inputs": {},
        **_durations(run),
    }
    if work:
        rendered["cancelUri"] = f"{base}/execution/v1.0{scope}/runId/{run['runId']}/cancel"
        rendered["diagnosticsUri"] = f"{base}/execution/v1.0{scope}/runId/{run['runId']}/diagnostics"
        rendered["computeRequest"] = {"nodeCount": work["nodes"]}
        rendered["compute"] = {"target": work["compute"], "targetType": "amlcompute", "instanceCount": work["nodes"]}
        if run["status"] == "Queued":
            rendered["queueingInfo"] = {
                "code": "WaitingForNodes",
                "message": f"Waiting for nodes of {work['compute']}.",
            }
    return {name: value for name, value in rendered.items() if value is not None}


def details_json(run: Document, definition: Document, blobs: BlobStore, base: str) -> dict[str, Any]:
    """Render what is known of a run beyond the run itself: its definition and where its logs are."""
    names = ("runId", "target", "status", "parentRunId", "startTimeUtc", "endTimeUtc", "error", "warnings")
    rendered = {name: run.get(name) for name in (*names, "tags", "properties", "revision")}
    rendered |= {
        "runDefinition": definition,
        "logFiles": _log_files(run, blobs, base),
        "inputDatasets": [],
        "outputDatasets": [],
        "jobCost": {"chargedCpuCoreSeconds": None, "chargedGpuSeconds": None},
        "submittedBy": facts.CLIENT_ID,
    }
    return {name: value for name, value in rendered.items() if value is not None}


def _log_files(run: Document, blobs: BlobStore, base: str) -> dict[str, str]:
    root = f"ExperimentRun/{run['dataContainerId']}/"
    container = facts.ARTIFACT_CONTAINER
    found = (blob.name for folder in LOG_FOLDERS for blob in blobs.list(container, f"{root}{folder}/"))
    return {name.removeprefix(root): blobs.sas(base, container, name, hours=LOG_HOURS) for name in found}


def _studio(run_id: str, base: str) -> str:
    return f"{addresses.studio(base)}/runs/{run_id}?wsid={facts.WORKSPACE_PATH}&tid={facts.TENANT}"


def _durations(run: Document) -> dict[str, str]:
    if "startTimeUtc" not in run or "endTimeUtc" not in run:
        return {}
    seconds = datetime.fromisoformat(run["endTimeUtc"]) - datetime.fromisoformat(run["startTimeUtc"])
    return {"duration": _time_span(seconds), "computeDuration": _time_span(seconds)}


def _time_span(duration: timedelta) -> str:
    """Write a duration as .NET does: `[d.]hh:mm:ss.fffffff`."""
    minutes, seconds = divmod(duration.seconds, 60)
    days = f"{duration.days}." if duration.days else ""
    return f"{days}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{duration.microseconds:06}0"
