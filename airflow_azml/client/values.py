"""Values as people write or template them: whole numbers and durations, which may come as text, and mappings.

A wrong value raises an InputError that names its field, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pendulum

from airflow_azml.client.transport.errors import InputError


def whole_number(field: str, value: object, at_least: int = 0) -> int:
    """Return a whole number, given as one or as text."""
    with suppress(TypeError, ValueError):
        number = int(value)  # type: ignore[call-overload]  # what is no number ends in its TypeError
        if number == float(value) and number >= at_least:  # type: ignore[arg-type]  # likewise
            return int(number)
    raise InputError(field, value, f"must be a whole number, {at_least} or more")


def flag(field: str, value: object) -> bool:
    """Return a boolean. Anything else is refused: the text "False" would count as true, and None as false."""
    if isinstance(value, bool):
        return value
    raise InputError(field, value, "must be True or False")


def mapping(field: str, value: object) -> dict[str, Any]:
    """Return a copy of a mapping; a template that renders to text is none."""
    if isinstance(value, Mapping):
        return dict(value)
    raise InputError(field, value, f"must be a mapping, not {type(value).__name__}")


def text(field: str, value: object) -> str:
    """Return a value of a tag or variable as the service takes it: texts only. Numbers and booleans become text."""
    if isinstance(value, str | int | float):
        return str(value)
    raise InputError(field, value, f"must be text, a number or a boolean, not {type(value).__name__}")


def texts(field: str, values: object) -> dict[str, str]:
    """Return tags, properties or environment variables as the service takes them.

    :param field: what the caller calls them, for messages.
    :param values: a mapping; None is an empty one.
    """
    given = mapping(field, {} if values is None else values)
    return {text(f"a name in {field}", name): text(f"{field}.{name}", value) for name, value in given.items()}


def with_texts(spec: Mapping[str, Any], field: str = "spec") -> dict[str, Any]:
    """Return the JSON of a resource with its tags, its own properties and environment variables as texts."""
    given = {key: value for key, value in spec.items() if value is not None}
    if "tags" in given:
        given["tags"] = texts(f"{field}.tags", given["tags"])
    if "properties" in given:
        given["properties"] = inner = mapping(f"{field}.properties", given["properties"])
        for name in ("environmentVariables", "properties"):
            if inner.get(name) is not None:
                inner[name] = texts(f"{field}.properties.{name}", inner[name])
    return given


def seconds_of(field: str, duration: float | str) -> int:
    """Return a duration in seconds, given as a number of them or in ISO 8601 (`PT5M`)."""
    with suppress(TypeError, ValueError, OverflowError):
        if (seconds := int(float(duration))) >= 0:
            return seconds
    if (parsed := _iso_duration(duration)) is not None:
        return int(parsed)
    raise InputError(field, duration, "must be seconds, 0 or more, or an ISO 8601 duration such as PT5M")


def same_duration(one: str, other: str) -> bool:
    """Tell whether two texts are ISO 8601 durations of the same length: `PT300S` is `PT5M`."""
    if not (one.startswith("P") and other.startswith("P")):
        return False
    return (length := _iso_duration(one)) is not None and length == _iso_duration(other)


def _iso_duration(duration: object) -> float | None:
    """Return the seconds of an ISO 8601 duration; None when it is none."""
    with suppress(TypeError, ValueError):
        parsed = pendulum.parse(duration)  # type: ignore[arg-type]  # what is no text ends in its TypeError
        if isinstance(parsed, pendulum.Duration):
            return parsed.total_seconds()
    return None
