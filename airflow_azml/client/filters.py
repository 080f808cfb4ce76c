"""Conditions on lists: the filter language of the run history, and tags and properties of models.

The run history's language is written in the dialect that Microsoft's own client sends.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

_BARE = re.compile(r"[\w.\-]+")


def run_filter(
    *,
    statuses: Iterable[str] = (),
    tags: Mapping[str, str | None] | None = None,
    properties: Mapping[str, str | None] | None = None,
    compute_name: str = "",
    parent_run_id: str = "",
    created_after: datetime | None = None,
    roots_only: bool = False,
) -> str:
    """Return the filter of runs that fulfil every given condition; empty when none is given.

    :param statuses: the run has one of these.
    :param tags: the run has these tags; None means with any value.
    :param properties: likewise.
    :param created_after: or at that time; a time without zone is UTC.
    :param roots_only: no run that another has started.
    """
    parts = [" or ".join(f"Status eq {_bare('status', status)}" for status in statuses)]
    parts += [_has("Tags", key, value) for key, value in (tags or {}).items()]
    parts += [_has("Properties", key, value) for key, value in (properties or {}).items()]
    parts.append(f"Target eq {_bare('compute_name', compute_name)}" if compute_name else "")
    parts.append(f"ParentRunId eq {_bare('parent_run_id', parent_run_id)}" if parent_run_id else "")
    if created_after:
        aware = created_after if created_after.tzinfo else created_after.replace(tzinfo=UTC)
        parts.append(f"CreatedUtc ge {aware.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    parts.append("ParentRunId eq null" if roots_only else "")
    return " and ".join(f"({part})" for part in parts if part)


def asset_query(parameter: str, wanted: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return the query parameter that lets the service do most of the filtering: ``key,other=value``."""
    pairs = [key if value is None else f"{key}={value}" for key, value in (wanted or {}).items()]
    sendable = [pair for pair in pairs if "," not in pair]
    return {parameter: ",".join(sendable)} if sendable else {}


def has_all(there: Mapping[str, str], wanted: Mapping[str, str | None] | None) -> bool:
    """Say whether tags or properties are as wanted; None means with any value."""
    return all(
        key in there and (value is None or there[key] == text(key, value)) for key, value in (wanted or {}).items()
    )


def _has(kind: str, key: str, value: str | None) -> str:
    name = f"{kind}/{_bare('a name in the filter', key)}"
    if value is None:
        return f"{name} ne null or {name} eq null"
    if '"' in str(value) or "\\" in str(value):
        raise InputError(key, value, "cannot be filtered by: it has a double quote or a backslash in it")
    return f'{name} eq "{value}"'


def _bare(field: str, value: str) -> str:
    if not _BARE.fullmatch(value):
        raise InputError(field, value, "cannot be filtered by: letters, digits, '_', '-' and '.' can")
    return value
