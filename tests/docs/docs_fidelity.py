"""The emulator's operations as docs/emulator-fidelity.md writes them: one per handler, with its spellings."""

from __future__ import annotations

from typing import Any

from airflow_azml.emulator.host.route_list import rows
from airflow_azml.emulator.runs.routes.history import SCOPES


def operations() -> dict[Any, set[str]]:
    """Return each handler's requests, as `GET discovery`."""
    found: dict[Any, set[str]] = {}
    for row in rows():
        found.setdefault(row.handler, set()).add(f"{row.methods} {row.path}")
    return {handler: _scoped(requests) for handler, requests in found.items()}


def _scoped(requests: set[str]) -> set[str]:
    """Write `{scope}` where runs are addressed below an experiment's name, below its id and by themselves."""
    for request in requests:
        spellings = {request.replace("/.../runs", f"/...{scope}/runs") for scope in SCOPES}
        if len(spellings) == len(SCOPES) and spellings <= requests:
            return (requests - spellings) | {request.replace("/.../runs", "/.../{scope}/runs")}
    return requests
