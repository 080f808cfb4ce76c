"""A run and an experiment as the store keeps them."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

RUN, EXPERIMENT, DEFINITION = "run", "experiment", "rundefinition"


class Work(TypedDict):
    """How far the executor has come with a run; `ending` is how the run is to end, once somebody has asked for that."""

    sequence: int
    compute: str
    nodes: int
    project: str
    attempt: int
    onNodes: bool
    started: NotRequired[float | None]
    ending: NotRequired[dict[str, Any]]


class Run(TypedDict):
    """The service's `Run` without what depends on the caller's address; further members of it may be there."""

    runId: str
    runNumber: int
    rootRunId: str
    experimentId: str
    experimentName: str
    createdUtc: str
    status: str
    revision: int
    statusRevision: int
    runUuid: str
    rootRunUuid: str
    parentRunUuid: NotRequired[str | None]
    dataContainerId: str
    displayName: str
    hidden: bool
    tags: dict[str, str]
    properties: dict[str, str]
    warnings: list[Any]
    work: Work | None


class Experiment(TypedDict):
    """The service's `Experiment`."""

    experimentId: str
    name: str
    createdUtc: str
    tags: dict[str, str]


MODELS = {RUN: Run, EXPERIMENT: Experiment}
