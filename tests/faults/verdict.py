"""What a campaign came to: the runs are counted in the emulator itself, and everything is compared with what should be.

Pure functions on what was found; nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

TERMINAL = frozenset({"Completed", "Failed", "Canceled"})
FAILING = "fault_failing"  # the DAG whose script fails
SHARED = "shared"  # the compute that stays


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline as Airflow sees it at the end.

    :param dag_id: its kind.
    :param run_id: its name: of the dag run, of the experiment and of the model.
    :param state: of the dag run.
    :param tries: how often its task `train` was started.
    :param trained: the id of the run that `train` has told of; empty when it has not.
    :param version: of the model that `register` has told of; empty when it has not.
    """

    dag_id: str
    run_id: str
    state: str
    tries: int
    trained: str = ""
    version: str = ""

    @property
    def failing(self) -> bool:
        """Whether its script fails."""
        return self.dag_id == FAILING


@dataclass(frozen=True, slots=True)
class Left:
    """What is there at the end.

    :param runs: of every experiment, as the emulator has them.
    :param models: names of the models that have versions, with their versions.
    :param resources: names of the computes and endpoints.
    :param processes: command lines of scripts that still run.
    """

    runs: Mapping[str, Sequence[Mapping[str, Any]]]
    models: Mapping[str, Sequence[str]]
    resources: Sequence[str]
    processes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last line of a campaign."""

    pipelines: int
    ended_right: int
    lost: int
    doubled: int
    left_running: int
    secrets_found: int
    faults_injected: int
    kills: int

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        wrong = self.lost + self.doubled + self.left_running + self.secrets_found
        return wrong == 0 and self.ended_right == self.pipelines

    def as_json(self) -> dict[str, int]:
        """Return the line's object."""
        return asdict(self)


def ended_wrong(pipeline: Pipeline) -> str:
    """Say how a pipeline ended that should have ended otherwise; empty when it ended right."""
    wanted = "failed" if pipeline.failing else "success"
    return "" if pipeline.state == wanted else f"ended {pipeline.state or 'never'}, not {wanted}"


def lost(pipeline: Pipeline, left: Left) -> str:
    """Say which run of a pipeline is missing, or was not taken up; empty when none is."""
    runs = left.runs.get(pipeline.run_id, ())
    if pipeline.failing:
        return "" if any(run["status"] == "Failed" for run in runs) else "its failed runs are missing"
    completed = [run["runId"] for run in runs if run["status"] == "Completed"]
    if not completed:
        return "no run has completed"
    return (
        "" if pipeline.trained in completed else f"its task tells of run {pipeline.trained or 'none'}, not {completed}"
    )


def doubled(pipeline: Pipeline, left: Left) -> str:
    """Say what a pipeline has more than once; empty when there is nothing."""
    runs = sorted(left.runs.get(pipeline.run_id, ()), key=lambda run: str(run["createdUtc"]))
    most = pipeline.tries if pipeline.failing else 1  # a script that does not fail needs one run, whatever dies
    if len(runs) > most:
        return f"{len(runs)} runs of {pipeline.tries} tries: {[(run['runId'], run['status']) for run in runs]}"
    if any(str(second["createdUtc"]) < str(first.get("endTimeUtc") or "9") for first, second in pairwise(runs)):
        return "two runs were active at once"
    versions = left.models.get(pipeline.run_id, ())
    if versions or pipeline.version not in {"", "1"}:
        return f"the model was registered as {pipeline.version}, and there is {list(versions)}"
    return ""


def left_running(left: Left) -> list[str]:
    """Name all that still costs: active runs, clusters and endpoints that were to be deleted, processes of scripts."""
    runs = [run["runId"] for runs in left.runs.values() for run in runs if run["status"] not in TERMINAL]
    return [*runs, *(name for name in left.resources if name != SHARED), *left.processes]
