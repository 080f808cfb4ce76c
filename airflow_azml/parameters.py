"""How parameters of operators and sensors are read when a DAG is parsed. It imports nothing of the provider."""

from __future__ import annotations

import math
from datetime import timedelta

UI_COLOR = "#e5f1fb"
Seconds = float | timedelta
"""A span of time: seconds, or a timedelta."""


def seconds(field: str, value: Seconds) -> float:
    """Return a span of time in seconds. ValueError names field, value and remedy, already when the DAG is parsed."""
    read = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(read, bool) or not isinstance(read, int | float) or not 0 < read < math.inf:
        raise ValueError(f"{field} {value!r}: must be seconds above 0, as a number or a timedelta")
    return read


def limit(field: str, value: Seconds | None) -> float | None:
    """Return a time limit in seconds; None is no limit."""
    return None if value is None else seconds(field, value)


def flag(field: str, value: object) -> bool:
    """Return True or False. ValueError refuses all else: a text such as "False" would count as true."""
    if value is True or value is False:
        return value
    raise ValueError(f"{field} {value!r}: must be True or False")
