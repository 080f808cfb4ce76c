"""A run as the run history answers it: `Run` and `RunDetails` of its specification.

Members without a value are null, as the service answers them, also where the specification has no null.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import addresses
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document
    from airflow_azml.emulator.storage.blobs import BlobStore

OURS = ("work", "experimentName")  # members of the document that the service's Run does not have
LOG_FOLDERS = ("azureml-logs", "logs", "system_logs", "user_logs")
CREATOR = {
    "userObjectId": facts.CLIENT_ID,
    "userPuId": "1003200000000000",
    "userIdp": None,
    "userAltSecId": None,
    "userIss": f"https://sts.windows.net/{facts.TENANT}/",
    "userTenantId": facts.TENANT,
    "userName": facts.CLIENT_ID,
    "upn": None,
}
LOG_HOURS = 8
UNSET = dict.fromkeys((
    "cancelUri", "cancelationReason", "completeUri", "compute", "computeDuration", "computeRequest", "createdFrom",
    "currentAttemptId", "currentComputeTime", "description", "diagnosticsUri", "duration", "effectiveStartTimeUtc",
    "endTimeUtc", "error", "jobSpecification", "lastStartTimeUtc", "name", "parentRunId", "parentRunUuid",
    "primaryMetricName", "queueingInfo", "retainForLifetimeOfWorkspace", "runDefinition", "scheduleId", "scriptName",
    "startTimeUtc", "target", "token", "tokenExpiryTimeUtc",
))  # fmt: skip
DETAILS = (
    "runId", "target", "status", "parentRunId", "parentRunUuid", "rootRunId", "rootRunUuid", "runUuid", "runNumber",
    "startTimeUtc", "endTimeUtc", "effectiveStartTimeUtc", "lastStartTimeUtc", "currentComputeTime", "duration",
    "computeDuration", "error", "warnings", "tags", "properties", "parameters", "services", "settings", "revision",
    "statusRevision", "runTypeV2", "compute", "computeRequest", "createdBy", "lastModifiedBy", "lastModifiedUtc",
    "dataContainerId", "userId", "inputs", "outputs", "inputDatasets", "outputDatasets",
)  # fmt: skip


def run_json(run: Document, base: str) -> dict[str, Any]:
    """Render a run."""
    scope = f"{facts.WORKSPACE_PATH}/experiments/{run['experimentName']}"
    work = run["work"]
    rendered = {
        **UNSET,
        "lastModifiedUtc": run["createdUtc"],
        **{name: value for name, value in run.items() if name not in OURS},
        "actionUris": {},
        "parameters": {},
        "settings": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "uniqueChildRunComputeTargets": [],
        "runTypeV2": _run_type(work),
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
        rendered["actionUris"] = {"Cancel": rendered["cancelUri"], "Diagnose": rendered["diagnosticsUri"]}
        rendered["currentAttemptId"] = 1
        rendered["computeRequest"] = {"nodeCount": work["nodes"], "gpuCount": 0}
        rendered["compute"] = _compute(work)
        if run["status"] == "Queued":
            rendered["queueingInfo"] = {
                "code": "WaitingForNodes",
                "message": f"Waiting for nodes of {work['compute']}.",
                "lastRefreshTimestamp": datetime.now(UTC).isoformat(),
            }
    return rendered


def details_json(run: Document, definition: Document, blobs: BlobStore, base: str) -> dict[str, Any]:
    """Render what is known of a run beyond the run itself: its definition and where its logs are."""
    rendered = run_json(run, base)
    charges = ("chargedCpuCoreSeconds", "chargedCpuMemoryMegabyteSeconds", "chargedGpuSeconds")
    return {
        **{name: rendered[name] for name in DETAILS},
        "createdTimeUtc": rendered["createdUtc"],
        "runDefinition": definition,
        "logFiles": _log_files(run, blobs, base),
        "jobCost": dict.fromkeys((*charges, "chargedNodeUtilizationSeconds")),
        "submittedBy": facts.CLIENT_ID,
    }


def _run_type(work: Document | None) -> dict[str, Any]:
    orchestrator, kind = ("Execution", "AmlcTrain") if work else (None, None)
    return {"orchestrator": orchestrator, "traits": [], "attribution": None, "computeType": kind}


def _compute(work: Document) -> dict[str, Any]:
    unset = dict.fromkeys(("vmSize", "instanceType", "priority", "region", "armId", "properties"))
    target = {"target": work["compute"], "targetType": "amlcompute", "instanceCount": work["nodes"], "gpuCount": 0}
    return {**unset, **target}


def _log_files(run: Document, blobs: BlobStore, base: str) -> dict[str, str]:
    root = f"ExperimentRun/{run['dataContainerId']}/"
    container = facts.ARTIFACT_CONTAINER
    found = (blob.name for folder in LOG_FOLDERS for blob in blobs.list(container, f"{root}{folder}/"))
    return {name.removeprefix(root): blobs.sas(base, container, name, hours=LOG_HOURS) for name in found}


def _studio(run_id: str, base: str) -> str:
    return f"{addresses.studio(base)}/runs/{run_id}?wsid={facts.WORKSPACE_PATH}&tid={facts.TENANT}"


def _durations(run: Document) -> dict[str, str]:
    if not (run.get("startTimeUtc") and run.get("endTimeUtc")):
        return {}
    seconds = datetime.fromisoformat(run["endTimeUtc"]) - datetime.fromisoformat(run["startTimeUtc"])
    return {"duration": _time_span(seconds), "computeDuration": _time_span(seconds)}


def _time_span(duration: timedelta) -> str:
    """Write a duration as .NET does: `[d.]hh:mm:ss.fffffff`."""
    minutes, seconds = divmod(duration.seconds, 60)
    days = f"{duration.days}." if duration.days else ""
    return f"{days}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{duration.microseconds:06}0"
