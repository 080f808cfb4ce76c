"""The published OpenAPI files as a judge of requests and answers.

Swagger 2.0 is JSON Schema draft 4 and a little more: `discriminator` picks the schema of the subtype, `x-nullable`
allows null, `readOnly` members are not sent. Members that a schema does not have are reported too, although JSON Schema
would let them pass: a misspelled name is what such a check is for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

from jsonschema import Draft4Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

FORMATS = FormatChecker(formats=())
FORMATS.checks("date-time", (ValueError, TypeError))(lambda text: bool(datetime.fromisoformat(text)))
FORMATS.checks("uuid", ValueError)(lambda text: bool(UUID(text)))
VERBS = ("get", "put", "post", "patch", "delete", "head")


@cache
def load(path: Any) -> Resource[Any]:
    """Read a file for the registry, which knows files by their URIs."""
    return Resource(json.loads(Path(unquote(urlsplit(path).path)).read_text()), DRAFT4)


REGISTRY: Registry[Any] = Registry(retrieve=load)


@dataclass(frozen=True)
class Operation:
    """An operation of a specification."""

    file: str
    name: str
    method: str
    path: re.Pattern[str]
    template: str
    spec: dict[str, Any]
    parameters: list[dict[str, Any]]

    def parameters_in(self, place: str) -> dict[str, dict[str, Any]]:
        return {parameter["name"]: parameter for parameter in self.parameters if parameter["in"] == place}

    def schema_of_answer(self, status: int) -> dict[str, Any] | None:
        """Return what the answer must be; KeyError when the status is none of the operation's."""
        responses = self.spec["responses"]
        known = responses.get(str(status)) or (responses["default"] if status >= 400 else responses[str(status)])
        return known.get("schema")


class Specification:
    """One OpenAPI file."""

    def __init__(self, path: Path) -> None:
        self.uri = path.as_uri()
        document = REGISTRY.get_or_retrieve(self.uri).value.contents
        self._resolver = REGISTRY.resolver(self.uri)
        self.operations = [
            Operation(path.name, spec["operationId"], verb.upper(), self._pattern(template), template, spec, parameters)
            for template, item in document["paths"].items()
            for verb, spec in item.items()
            if verb in VERBS
            for parameters in [[*map(self._whole, [*item.get("parameters", []), *spec.get("parameters", [])])]]
        ]

    def judge(self, value: Any, schema: dict[str, Any], *, request: bool) -> Iterator[str]:
        """Yield what is wrong with a JSON document."""
        root = {**schema, "$ref": self.uri + schema["$ref"]} if schema.get("$ref", "").startswith("#") else schema
        validator = Judge(root, registry=REGISTRY, format_checker=FORMATS, _resolver=self._resolver)
        for error in validator.iter_errors(value):
            yield f"{_where(error.absolute_path)}: {error.message[:200]}"
        for where, what in self._strangers(value, schema, self._resolver, (), request=request):
            yield f"{_where(where)}: {what}"

    def _strangers(
        self, value: Any, schema: Any, resolver: Any, at: tuple[Any, ...], *, request: bool
    ) -> Iterator[Any]:
        """Yield the members that the schema does not have, or that are not to be sent."""
        if isinstance(value, list):
            items, resolver = _follow(schema, resolver)
            for index, item in enumerate(value):
                yield from self._strangers(item, items.get("items", {}), resolver, (*at, index), request=request)
        if not isinstance(value, dict):
            return
        members, rest = _members(value, schema, resolver)
        if not members and rest is None:
            return  # an object of which nothing is said
        for name, inner in value.items():
            found, below = members.get(name, (rest, resolver))
            if found is None:
                yield (*at, name), "is no member that the specification has"
            elif request and found.get("readOnly"):
                yield (*at, name), "is read-only, and was sent"
            else:
                yield from self._strangers(inner, found, below, (*at, name), request=request)

    def _whole(self, parameter: dict[str, Any]) -> dict[str, Any]:
        whole, _ = _follow(parameter, self._resolver)
        return whole

    @staticmethod
    def _pattern(template: str) -> re.Pattern[str]:
        pieces = re.split(r"(\{\w+\})", template)
        names = [f"(?P<{piece[1:-1]}>[^/]+)" if piece.startswith("{") else re.escape(piece) for piece in pieces]
        return re.compile("".join(names), re.IGNORECASE)


def arguments(operation: Operation, url: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the path's and query's arguments: name, parameter, value; KeyError for an unknown parameter."""
    match = operation.path.fullmatch(urlsplit(url).path)
    assert match
    for name, parameter in operation.parameters_in("path").items():
        yield name, parameter, unquote(match[name])
    known = {name.casefold(): parameter for name, parameter in operation.parameters_in("query").items()}
    for name, value in parse_qsl(urlsplit(url).query):
        yield name, known[name.casefold()], value


def argument_error(parameter: dict[str, Any], text: str) -> str:
    """Return what is wrong with an argument; nothing when it is right."""
    kinds: dict[str, Any] = {
        "integer": int,
        "number": float,
        "boolean": lambda word: {"true": True, "false": False}[word],
    }
    schema = {
        name: parameter[name]
        for name in ("type", "pattern", "enum", "minimum", "maximum", "items")
        if name in parameter
    }
    try:
        value = text.split(",") if schema["type"] == "array" else kinds.get(schema["type"], str)(text)
        Draft4Validator(schema).validate(value)
    except (ValueError, KeyError, ValidationError) as error:
        return str(error).splitlines()[0]
    return ""


def _follow(schema: Any, resolver: Any) -> tuple[dict[str, Any], Any]:
    while "$ref" in schema:
        found = resolver.lookup(schema["$ref"])
        schema, resolver = found.contents, found.resolver
    return schema, resolver


def _members(value: dict[str, Any], schema: Any, resolver: Any) -> tuple[dict[str, Any], Any]:
    """Return the members that an object may have, with their schemas, and the schema of further ones (or None)."""
    schema, resolver = _follow(schema, resolver)
    members = {name: (inner, resolver) for name, inner in schema.get("properties", {}).items()}
    more = schema.get("additionalProperties", False)
    rest = {} if more is True else more or None
    for part in [*schema.get("allOf", ()), *_derived(schema, value, resolver)]:
        inherited, other = _members(value, part, resolver)
        members, rest = {**inherited, **members}, other if rest is None else rest
    return members, rest


def _derived(schema: Any, value: Any, resolver: Any) -> list[dict[str, Any]]:
    """Return the schema of the subtype that the discriminator names."""
    name = schema.get("discriminator")
    if not name or not isinstance(value, dict):
        return []
    for kind, body in resolver.lookup("#/definitions").contents.items():
        others = [part for part in body.get("allOf", ()) if _follow(part, resolver)[0] is not schema]
        is_one = len(others) < len(body.get("allOf", ()))
        if is_one and body.get("x-ms-discriminator-value", kind) == value.get(name):
            return [{**body, "allOf": others}]
    return []


def _where(path: Any) -> str:
    return "/".join("*" if isinstance(step, int) else str(step) for step in path) or "."


def _discriminator(validator: Any, _: Any, instance: Any, schema: Any) -> Iterator[Any]:
    for derived in _derived(schema, instance, validator._resolver):
        yield from validator.descend(instance, derived)


def _nullable(keyword: str) -> Any:
    plain = Draft4Validator.VALIDATORS[keyword]

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not (instance is None and schema.get("x-nullable")):
            yield from plain(validator, value, instance, schema) or ()

    return check


Judge = extend(Draft4Validator, {"discriminator": _discriminator, "type": _nullable("type"), "enum": _nullable("enum")})
