"""Runs and experiments as MLflow's REST API 2.0 tells them. An MLflow run is the run of the run history.

MLflow counts times in milliseconds, keeps parameters beside a run and calls its statuses by other names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import pick, pick_text
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.metrics import engine

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.runs.history import Runs

PARAMETERS = "parameters"
DEFAULT_ID, DEFAULT_NAME = "0", "Default"  # what MLflow uses when no experiment was chosen
STATUSES = {"Running": "RUNNING", "Finalizing": "RUNNING", "CancelRequested": "RUNNING"}
STATUSES |= {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
REPORTED = {
    "RUNNING": "Running", "SCHEDULED": "Queued", "FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled",
}  # fmt: skip
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


class Parameters:
    """The parameters of runs: written once each.

    :param store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_run(self, run_id: str) -> dict[str, str]:
        """Return the parameters of a run."""
        return self._store.get(PARAMETERS, run_id) or {}

    def add(self, run_id: str, wanted: dict[str, str]) -> None:
        """Write parameters; refuse, as MLflow does, one that has another value already."""
        with self._store.put_or_change(PARAMETERS, run_id) as present:
            for key, value in wanted.items():
                if present.get(key, value) != value:
                    message = f"Changing param values is not allowed. Param with key='{key}' was already logged"
                    raise bad_request(f"{message} with value='{present[key]}' for run ID='{run_id}'.", target=key)
            present.update(wanted)


def read_pairs(body: Any) -> dict[str, str]:
    """Read a list of `key` and `value`."""
    if not isinstance(body, list):
        raise bad_request("Params and tags are lists of 'key' and 'value'.")
    return {pick_text(item, "key"): pick_text(item, "value", default="") for item in body}


def read_metric(body: Any) -> Document:
    """Read a metric; JSON has no words for what is not finite, so that comes as text."""
    name, value = pick_text(body, "key"), pick(body, "value", default=0.0)
    if value not in NOT_FINITE and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise bad_request(f"The value of metric '{name}' is not a number.", target="value")
    stamp = read_integer(body, "timestamp")
    created = from_milliseconds(stamp) if stamp else None
    return engine.scalar(name, value, created, read_integer(body, "step"))


def read_integer(body: Any, name: str) -> int:
    """Read a whole number, which protocol buffers also write as text; an absent one is 0."""
    value = pick(body, name, default=0)
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or abs(number) > 2**62:
        raise bad_request(f"'{name}' must be a whole number.", target=name)
    return number


def experiment_of(runs: Runs, experiment_id: str) -> Document:
    """Return the experiment of an id; MLflow has one without anybody's doing."""
    if experiment_id == DEFAULT_ID:
        return runs.ensure_experiment(DEFAULT_NAME)
    return runs.experiment_by_id(experiment_id)


def experiment_json(experiment: Document) -> dict[str, Any]:
    """Render an experiment."""
    created = to_milliseconds(experiment["createdUtc"])
    return {
        "experiment_id": experiment["experimentId"],
        "name": experiment["name"],
        "artifact_location": "mlflow-artifacts:/ExperimentRun",
        "lifecycle_stage": "active",
        "creation_time": created,
        "last_update_time": created,
        "tags": pairs(experiment["tags"]),
    }


def run_json(
    run: Document, parameters: dict[str, str], logged: dict[str, list[Document]], lineage: dict[str, Any]
) -> dict[str, Any]:
    """Render a run with its last metrics.

    :param logged: its metrics by name.
    :param lineage: its inputs and outputs.
    """
    info = info_json(run)
    histories = [history for name, found in logged.items() if (history := history_json(name, found))]
    last = [max(history, key=lambda metric: (metric["step"], metric["timestamp"])) for history in histories]
    data = {"metrics": last, "params": pairs(parameters), "tags": pairs(run["tags"])}
    return {"info": info, "data": data, **lineage}


def info_json(run: Document) -> dict[str, Any]:
    """Render what a run is."""
    info = {
        "run_id": run["runId"],
        "run_uuid": run["runId"],
        "run_name": run["displayName"],
        "experiment_id": run["experimentId"],
        "user_id": facts.CLIENT_ID,
        "status": STATUSES.get(run["status"], "SCHEDULED"),
        "start_time": to_milliseconds(run.get("startTimeUtc") or run["createdUtc"]),
        "artifact_uri": f"mlflow-artifacts:/ExperimentRun/{run['dataContainerId']}",
        "lifecycle_stage": "deleted" if run["hidden"] else "active",
    }
    return {**info, "end_time": to_milliseconds(run["endTimeUtc"])} if "endTimeUtc" in run else info


def history_json(name: str, found: list[Document]) -> list[dict[str, Any]]:
    """Render all values of a metric that are numbers."""
    return [
        {
            "key": name,
            "value": cell[name],
            "timestamp": to_milliseconds(metric["createdUtc"]),
            "step": metric["step"] or 0,
        }
        for metric in found
        for cell in metric["cells"]
        if isinstance(cell.get(name), int | float) or cell.get(name) in NOT_FINITE
    ]


def to_milliseconds(moment: str) -> int:
    """Return an ISO time as MLflow counts it."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def from_milliseconds(count: int) -> str:
    """Return MLflow's time in ISO form."""
    try:
        return datetime.fromtimestamp(count / 1000, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError) as error:
        raise bad_request(f"{count} is not a time in milliseconds.", target="timestamp") from error


def pairs(mapping: dict[str, str]) -> list[dict[str, str]]:
    """Render parameters and tags."""
    return [{"key": key, "value": value} for key, value in mapping.items()]
