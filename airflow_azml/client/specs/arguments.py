"""Arguments beside a spec: each value may be given in one of the two places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_azml.client.transport.errors import InputError


def with_arguments(
    spec: Mapping[str, Any], arguments: Mapping[str, tuple[str, Any]], field: str = "spec"
) -> dict[str, Any]:
    """Return a spec with the arguments in it; InputError when it says something else than an argument.

    :param field: what the caller calls the spec, for messages.
    :param arguments: by name: the path in the spec, such as ``properties.authMode``, and the value; None is not given.
    """
    result = dict(spec)
    for name, (path, value) in arguments.items():
        if value is not None:
            *above, last = path.split(".")
            place = result
            for member in above:
                place[member] = place = _object(f"{field}.{path}", place.get(member))
            place[last] = _joined(name, f"{field}.{path}", value, place.get(last))
    return result


def _joined(name: str, where: str, value: Any, there: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(there, Mapping):
        more = {key: _joined(f"{name}.{key}", f"{where}.{key}", each, there.get(key)) for key, each in value.items()}
        return {**there, **more}
    if there is not None and there != value:
        raise InputError(name, value, f"is not what {where} says ({there!r}): give it in one of the two places")
    return value


def _object(where: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping | None):
        return dict(value or {})
    raise InputError(where, value, "must be an object")
