"""Write what the emulator does not do into docs/emulator-fidelity.md.

One table is the emulator's own (host/not_offered.py), as `airflow-azml emulator --routes` lists it. The other one
compares its routes with the operations that Microsoft published, which tools/published.py keeps:

    python tools/not_offered.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_azml.emulator.host.not_offered import NOT_OFFERED
from airflow_azml.emulator.host.route_table import ROUTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "emulator-fidelity.md"
PUBLISHED = ROOT / "tests" / "specs" / "published" / "machinelearningservices"
BEGIN, END = "<!-- made by tools/not_offered.py: {} -->\n", "<!-- end -->\n"
PROVIDER = "Microsoft.MachineLearningServices"
FILES = (
    "data-plane/{provider}/preview/2019-09-30/*.json",
    "resource-manager/{provider}/stable/2019-11-01/machineLearningServices.json",
    "resource-manager/{provider}/stable/2021-07-01/*.json",
    "resource-manager/{provider}/stable/2023-10-01/*.json",
)
VERBS = ("GET", "PUT", "POST", "PATCH", "DELETE")
WORKSPACE = re.compile(
    rf"/subscriptions/{{\w+}}/resourceGroups/{{\w+}}/providers/{re.escape(PROVIDER)}/workspaces/{{\w+}}"
)
ROUTES = [(route.methods, route.path_regex) for router in ROUTERS for route in router.routes]


def published() -> Iterator[tuple[str, str, str]]:
    """Yield method, path and id of every published operation, once."""
    seen = set()
    for pattern in FILES:
        for file in sorted(PUBLISHED.glob(pattern.format(provider=PROVIDER))):
            for path, operations in json.loads(file.read_text())["paths"].items():
                address = path.partition("?")[0]
                for verb in VERBS:
                    key = (verb, re.sub(r"\{\w+\}", "{}", address).casefold())
                    if verb.lower() in operations and key not in seen:
                        seen.add(key)
                        yield verb, address, operations[verb.lower()]["operationId"]


def has_route(verb: str, path: str) -> bool:
    """Tell whether the emulator has a route for an operation."""
    concrete = re.sub(r"\{\w+\}", "x", path)
    return any(verb in methods and pattern.match(concrete) for methods, pattern in ROUTES)


def collection_of(path: str) -> str:
    """Return what a row is named by: the service and the first collection below the workspace."""
    if "/registries" in path:
        return "registries"
    head, found, tail = short(path).partition("...")
    return f"{head}{found}/{tail.split('/')[1]}" if tail else short(path).split("/{")[0]


def short(path: str) -> str:
    """Write `...` for the path of the workspace, as the rest of the page does."""
    return WORKSPACE.sub("/...", path).strip("/")


def rows() -> list[str]:
    """Return the rows of the table: a collection without any route is one request, else each request is named."""
    missing: dict[str, list[tuple[str, str, str]]] = {}
    partly = set()
    for verb, path, name in published():
        if has_route(verb, path):
            partly.add(collection_of(path))
        else:
            missing.setdefault(collection_of(path), []).append((verb, path, name))
    return [
        f"| `{collection}/...` | {', '.join(_families([name for _, _, name in operations]))} |"
        if collection not in partly
        else f"| {_requests(operations)} | {', '.join(sorted(name for _, _, name in operations))} |"
        for collection, operations in sorted(missing.items())
    ]


def _families(names: list[str]) -> list[str]:
    return names if len(names) == 1 else sorted({f"{name.partition('_')[0]}_*" for name in names})


def _requests(operations: list[tuple[str, str, str]]) -> str:
    paths: dict[str, list[str]] = {}
    for verb, path, _ in operations:
        paths.setdefault(short(path), []).append(verb)
    return "<br>".join(f"`{'/'.join(verbs)} {path}`" for path, verbs in paths.items())


def instead() -> list[str]:
    """Return the rows of the emulator's own table."""
    return [
        f"| {'<br>'.join(f'`{request}`' for request in each.requests())} | {each.instead} |" for each in NOT_OFFERED
    ]


def with_table(page: str, name: str, lines: list[str]) -> str:
    """Return the page with the lines between the marks of a table."""
    before, begin, rest = page.partition(BEGIN.format(name))
    return "".join([before, begin, *(f"{line}\n" for line in lines), END, rest.partition(END)[2]])


def main() -> int:
    """Write the tables, or tell whether they are as they would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a table is not the same")
    options = parser.parse_args()
    page = PAGE.read_text()
    new = with_table(page, "instead", ["| Requests | Use instead |", "|-|-|", *instead()])
    new = with_table(new, "published", ["| Requests | Operations |", "|-|-|", *rows()])
    if options.check:
        return int(new != page)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
