"""How parameters of operators and sensors are read when a DAG is parsed. It imports nothing of the provider."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

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


class Templates:
    """Mixin of operators and sensors: how their templates are rendered."""

    def render_template(self, content: Any, *more: Any, **named: Any) -> Any:
        """Render templates. ``${{ ... }}`` is an expression of Azure ML, never one of Jinja's: it stays as it is."""
        if isinstance(content, str):
            content = _EXPRESSION.sub(r"{% raw %}\g<0>{% endraw %}", content)
        return super().render_template(content, *more, **named)  # type: ignore[misc]  # Airflow's operators have it


_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
