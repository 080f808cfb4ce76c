"""Keep the facts of Microsoft's OpenAPI files that the tests need, in tests/specs/published.

Facts are paths, methods, parameters, members, types and enumerations. Descriptions, examples and all other text are
left out, so that the checks run in every clone of this repository:

    python tools/published.py FOLDER [--check]

FOLDER is the folder `specification` of Azure/azure-rest-api-specs, or one that is laid out like it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Node = Mapping[str, Any]

PLACE = Path(__file__).parents[1] / "tests" / "specs" / "published"
ML, PROVIDER = "machinelearningservices", "Microsoft.MachineLearningServices"
# Whose requests and answers are judged in full, and of which only the operations are counted.
JUDGED = (
    *(
        f"{ML}/data-plane/{PROVIDER}/preview/2019-09-30/{name}.json"
        for name in ("execution", "runHistory", "artifact", "modelManagement")
    ),
    f"{ML}/resource-manager/{PROVIDER}/stable/2019-11-01/machineLearningServices.json",
    f"{ML}/resource-manager/{PROVIDER}/stable/2021-07-01/machineLearningServices.json",
    "resources/resource-manager/Microsoft.Resources/stable/2019-10-01/resources.json",
    "common-types/resource-management/v*/types.json",
)
COUNTED = (
    f"{ML}/data-plane/{PROVIDER}/preview/2019-09-30/*.json",
    f"{ML}/resource-manager/{PROVIDER}/stable/2023-10-01/*.json",
)  # fmt: skip
VERBS = ("get", "put", "post", "patch", "delete", "head")
PLAIN = (
    "$ref", "type", "format", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "discriminator", "x-ms-discriminator-value", "x-nullable", "readOnly", "name", "in",
)  # fmt: skip


def facts(document: Node, *, judged: bool) -> dict[str, Any]:
    """Return what is kept of a file.

    :param judged: keep parameters, answers and definitions too, not only the names of the operations.
    """
    paths = {**document.get("paths", {}), **document.get("x-ms-paths", {})}
    if not judged:
        return {"paths": {path: _each(_verbs(item), _name) for path, item in paths.items()}}
    return {
        "paths": _each(paths, _path),
        "parameters": _each(document.get("parameters", {}), schema),
        "definitions": _each(document.get("definitions", {}), schema),
    }


def schema(node: Node) -> dict[str, Any]:
    """Return what is kept of a schema, or of a parameter."""
    kept = {name: node[name] for name in PLAIN if name in node}
    if "properties" in node:
        kept["properties"] = _each(node["properties"], schema)
    if "allOf" in node:
        kept["allOf"] = [schema(part) for part in node["allOf"]]
    for name in ("items", "schema", "additionalProperties"):
        if name in node:
            kept[name] = schema(node[name]) if isinstance(node[name], dict) else node[name]
    return kept


def _path(item: Node) -> dict[str, Any]:
    return {**_parameters(item), **_each(_verbs(item), _operation)}


def _operation(operation: Node) -> dict[str, Any]:
    return {**_name(operation), **_parameters(operation), "responses": _each(operation["responses"], schema)}


def _name(operation: Node) -> dict[str, Any]:
    return {"operationId": operation["operationId"]}


def _parameters(node: Node) -> dict[str, Any]:
    return {"parameters": [schema(parameter) for parameter in node["parameters"]]} if node.get("parameters") else {}


def _verbs(item: Node) -> dict[str, Any]:
    return {verb: item[verb] for verb in VERBS if verb in item}


def _each(nodes: Node, keep: Callable[[Node], dict[str, Any]]) -> dict[str, Any]:
    return {name: keep(node) for name, node in nodes.items()}


def files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that is kept: its path below the folder, and its content, an entry a line."""
    judged = {path for pattern in JUDGED for path in folder.glob(pattern)}
    counted = {path for pattern in COUNTED for path in folder.glob(pattern)}
    for path in sorted(judged | counted):
        kept = facts(json.loads(path.read_text()), judged=path in judged)
        sections = [
            f'"{section}":{{\n' + ",\n".join(f"{json.dumps(key)}:{_compact(value)}" for key, value in entries.items())
            for section, entries in kept.items()
        ]
        yield path.relative_to(folder), "{\n" + "\n},\n".join(sections) + "\n}\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def main() -> int:
    """Write the files, or tell whether they are as they would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is not the same")
    options = parser.parse_args()
    wanted = {PLACE / path: text for path, text in files(options.folder)}
    if options.check:
        return int(wanted != {path: path.read_text() for path in PLACE.rglob("*.json")})
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
