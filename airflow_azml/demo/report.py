"""The result of the demo: metrics, model and score, or which task failed and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.demo.airflow_api import LogLine, TaskInstance
    from airflow_azml.demo.follow import DagRun

LAST_LINES = 30


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed.

    :param task_id: the task.
    :param error: the exception, as its log has it.
    :param lines: the end of its log.
    """

    task_id: str
    error: str
    lines: tuple[str, ...]


def produced(run: DagRun) -> list[tuple[str, str]]:
    """Say what the example DAG has produced, from what its tasks have returned to Airflow."""
    trained, registered, scored = (run.result(task) for task in ("wait_for_run", "register_model", "score"))
    metrics: Any = trained.get("metrics") or {}
    return [
        ("Metrics", ", ".join(f"{name} {_number(value)}" for name, value in sorted(metrics.items())) or "none"),
        ("Model", f"{registered.get('model_name')}:{registered.get('model_version')}"),
        ("Score", json.dumps(scored.get("answer"))),
    ]


def cleaned_up(run: DagRun) -> str:
    """Say what the DAG's teardown tasks have deleted."""
    compute, endpoint = run.result("delete_compute"), run.result("delete_endpoint")
    return f"compute {compute.get('compute_name')}, endpoint {endpoint.get('endpoint_name')}"


def left_over(client: AzureMLClient) -> list[str]:
    """Ask the service which computes and endpoints it still has."""
    computes = [f"compute {compute.name}" for compute in client.computes.list()]
    return computes + [f"endpoint {endpoint.name}" for endpoint in client.endpoints.list()]


def failures(run: DagRun) -> list[Failure]:
    """Return the tasks that failed, the first one first; those that only came after a failed one are left out."""
    failed = [task for task in run.tasks() if task.state == "failed"]
    failed.sort(key=lambda task: task.ended.timestamp() if task.ended else 0)
    return [_failure(task, run.log(task)) for task in failed]


def _failure(task: TaskInstance, log: Sequence[LogLine]) -> Failure:
    errors = [line.error for line in log if line.error]
    # Entries without a level tell where the log was read; those with colons only fold it in the UI.
    lines = [f"{line.level:<8}{line.text}" for line in log if line.level and not line.text.startswith("::")]
    error = errors[-1] if errors else "there is no exception in its log"
    return Failure(task.task_id, error, tuple(lines[-LAST_LINES:]))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
