"""The list of every route of the emulator, and of what it does not do: `airflow-azml emulator --routes`."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getdoc
from typing import TYPE_CHECKING, Any, TypeGuard

from fastapi.routing import APIRoute

from airflow_azml.emulator.host.not_offered import NOT_OFFERED
from airflow_azml.emulator.host.route_table import ROUTERS
from airflow_azml.emulator.http import api_versions
from airflow_azml.emulator.http.wire import WORKSPACE_PATH
from airflow_azml.emulator.identity.access import ARM, REGIONAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.routing import BaseRoute

VERBS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
COLUMNS = ("METHODS", "PATH", "PLANE", "API-VERSIONS", "STATE")


@dataclass(frozen=True, slots=True)
class Row:
    """A route.

    :param methods: as `GET/HEAD`.
    :param path: below the service's root, with `...` for the path of the workspace.
    :param plane: `arm`, `regional` or `open`, which takes no token of a service.
    :param api_versions: from which on they are taken; empty where none is asked for.
    :param operation: what its handler says of itself.
    :param handler: the function that answers.
    """

    methods: str
    path: str
    plane: str
    api_versions: str
    operation: str
    handler: Any


def rows() -> Iterator[Row]:
    """Yield every route, in the order in which they are tried."""
    for router in ROUTERS:
        for route in filter(_is_served, router.routes):
            yield Row(
                methods="/".join(verb for verb in VERBS if verb in route.methods),
                path=route.path_format.replace(WORKSPACE_PATH, "/...").removeprefix("/") or "/",
                plane=(plane := _plane(route)),
                api_versions=f"{api_versions.oldest(route.path_format)} on" if plane == "arm" else "",
                operation=(getdoc(route.endpoint) or "").partition("\n")[0],
                handler=route.endpoint,
            )


def _is_served(route: BaseRoute) -> TypeGuard[APIRoute]:
    return isinstance(route, APIRoute)


def _plane(route: APIRoute) -> str:
    planes = {"arm": ARM, "regional": REGIONAL}
    return next((name for name, (check,) in planes.items() if check in route.dependencies), "open")


def text() -> str:
    """Return the list as a table of text."""
    lines = [COLUMNS, *((row.methods, row.path, row.plane, row.api_versions, row.operation) for row in rows())]
    for each in NOT_OFFERED:
        for request in each.requests():
            verbs, _, path = request.rpartition(" ")
            lines.append((verbs or "all", path, "", "", f"501: use {each.instead}"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS) - 1)]
    padded = ([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
