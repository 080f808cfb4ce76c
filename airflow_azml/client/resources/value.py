"""The value of a resource: what the service says about it, as a Struct that only names the members it needs.

Members that the API keeps below ``properties`` are read as if they stood beside the name: a value has no levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec

from airflow_azml.client.transport.errors import ServiceError

Json = Mapping[str, Any]


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the service says about a resource.

    :param raw: the answer's JSON, whole.
    """

    raw: Json = {}
    levels: ClassVar[int] = 0
    """How many ``properties``, each within the one before, have members of the value."""

    @classmethod
    def of(cls, raw: Json, **more: Any) -> Self:
        """Read the service's JSON. A member that is null counts as absent; ServiceError when one is of another type.

        :param more: members, by their names in the API, that do not stand in the JSON.
        """
        try:
            more = {name: value for name, value in more.items() if value is not None}
            return msgspec.convert({**_members(raw, cls.levels), **more, "raw": raw}, cls)
        except (msgspec.ValidationError, AttributeError) as error:
            name = raw.get("id") or raw.get("name") if isinstance(raw, Mapping) else None
            what = f"{cls.__name__.lower()} {name or ''}".strip()
            raise ServiceError(f"the answer is not as expected: {error}", operation=f"read {what}") from error


def _members(raw: Json, levels: int) -> dict[str, Any]:
    """Return the members with those of the levels below, which count more; an outer level has ``name`` and ``tags``."""
    members = {name: value for name, value in raw.items() if value is not None}
    if not levels:
        return members
    below = members.pop("properties", {})
    return {**members, **_members(below, levels - 1)}
