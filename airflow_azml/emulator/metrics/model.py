"""A metric as the store keeps it."""

from __future__ import annotations

from typing import Any, TypedDict

METRIC = "metric"


class Metric(TypedDict):
    """What was logged in one post under one name: rows of cells."""

    metricId: str
    runId: str
    ordinal: int
    name: str
    metricType: str
    columns: dict[str, str]
    cells: list[Any]
    createdUtc: str
    step: int | None


MODELS = {METRIC: Metric}
