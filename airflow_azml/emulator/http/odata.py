"""The filter language of the run history: `(Status eq Running or Tags/k eq "v") and CreatedUtc ge 2026-01-01`.

It is the dialect of the v1 SDK: literals bare or in either kind of quotes, `null`, and times written in any ISO form.
A filter becomes a predicate over rendered resources; field names match in any case.
"""

from __future__ import annotations

import operator
import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    Resource = dict[str, Any]
    Predicate = Callable[[Resource], bool]

TOKEN = re.compile(
    r"""\s*(?: (?P<paren>[()])
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | '(?P<single>(?:[^']|'')*)'
      | (?P<moment>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)
      | (?P<bare>[^\s()"']+) )""",
    re.VERBOSE,
)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
MAX_TOKENS, MAX_DEPTH = 20_000, 100


def parse(text: str, fields: tuple[str, ...]) -> Predicate:
    """Turn a filter into a predicate; raise the 400 of the service when it cannot be read.

    :param fields: the members that can be asked for.
    """
    return _Parser(_tokens(text), fields).filter()


def check_field(field: str, fields: tuple[str, ...], target: str) -> None:
    """Raise the 400 of the service unless rows have the field, in any case; `Tags/k` is a field of `tags`."""
    name = field.partition("/")[0].casefold()
    if name not in _folded(fields):
        message = f"There is no field '{field}': they are {', '.join(fields)}."
        raise bad_request(message, code="InvalidFilter", target=target)


@cache
def _folded(fields: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(str.casefold, fields))


def _tokens(text: str) -> list[tuple[str, str]]:
    """Split into (kind, text): kind is paren, text (quoted) or bare."""
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None or match.lastgroup is None or len(tokens) >= MAX_TOKENS:
            raise _unreadable(f"cannot read it at position {position}")
        value, position = match[match.lastgroup], match.end()
        if match.lastgroup == "double":
            value = re.sub(r"\\(.)", r"\1", value)
        elif match.lastgroup == "single":
            value = value.replace("''", "'")
        tokens.append(({"paren": "paren", "bare": "bare"}.get(match.lastgroup, "text"), value))
    return tokens


class _Parser:
    """Recursive descent over the tokens: or, and, parentheses, comparison."""

    def __init__(self, tokens: list[tuple[str, str]], fields: tuple[str, ...]) -> None:
        self._tokens, self._fields, self._at, self._depth = tokens, fields, 0, 0

    def filter(self) -> Predicate:
        found = self._any()
        if self._at < len(self._tokens):
            raise _unreadable(f"unexpected '{self._tokens[self._at][1]}'")
        return found

    def _any(self) -> Predicate:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return (
            parts[0] if len(parts) == 1 else _one_of(parts) or (lambda resource: any(part(resource) for part in parts))
        )

    def _all(self) -> Predicate:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda resource: all(part(resource) for part in parts)

    def _one(self) -> Predicate:
        if not self._take("("):
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _unreadable("too many parentheses")
        inner = self._any()
        self._depth -= 1
        if not self._take(")"):
            raise _unreadable("a ')' is missing")
        return inner

    def _comparison(self) -> Predicate:
        (_, field), (_, name), (kind, literal) = self._next(), self._next(), self._next()
        compare = COMPARISONS.get(name.casefold())
        if compare is None:
            raise _unreadable(f"'{name}' is none of {', '.join(COMPARISONS)}")
        check_field(field, self._fields, "filter")
        wanted = None if kind == "bare" and literal.casefold() == "null" else literal
        return _Comparison(field, compare, wanted)

    def _take(self, word: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at][1].casefold() == word
        found = found and self._tokens[self._at][0] != "text"
        self._at += found
        return found

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] == "paren":
            raise _unreadable("a comparison is 'field eq value'")
        self._at += 1
        return self._tokens[self._at - 1]


def value_of(resource: Resource, field: str) -> Any:
    """Return the member that a field (`Status`, `Tags/k`, `Properties/a.b`) names; None when absent."""
    name, _, key = field.partition("/")
    folded = name.casefold()
    value = next((resource[member] for member in resource if member.casefold() == folded), None)
    if not key:
        return value
    return value.get(key) if isinstance(value, dict) else None


class _Comparison:
    """A member compared with a literal, whose type follows the member's."""

    def __init__(self, field: str, compare: Callable[[Any, Any], bool], wanted: str | None) -> None:
        self.field, self.compare, self.wanted = field, compare, wanted
        self.number, self.time = (_number(wanted), moment(wanted)) if wanted is not None else (None, None)

    def __call__(self, resource: Resource) -> bool:
        value, compare = value_of(resource, self.field), self.compare
        if value is None and "/" in self.field:
            return False  # no such tag: the SDK asks `(Tags/k ne null or Tags/k eq null)` for those that have it
        if value is None or self.wanted is None:
            return compare in {operator.eq, operator.ne} and compare(value, self.wanted)
        if isinstance(value, bool):
            return compare(str(value).casefold(), self.wanted.casefold())
        if isinstance(value, int | float):
            return self.number is not None and compare(value, self.number)
        if self.time and (there := moment(str(value))):
            return compare(there, self.time)
        return compare(str(value), self.wanted)


def _one_of(parts: list[Predicate]) -> Predicate | None:
    """Ask once for `RunId eq a or RunId eq b or ...`: clients send hundreds of ids; None when it is something else."""
    equal = [part for part in parts if isinstance(part, _Comparison) and part.compare is operator.eq and not part.time]
    fields = {part.field.casefold() for part in equal}
    if len(equal) < len(parts) or fields != {"runid"}:
        return None
    wanted = {part.wanted for part in equal}
    return lambda resource: value_of(resource, "runId") in wanted


def moment(text: str) -> datetime | None:
    """Read a time in any ISO form; without an offset it is UTC."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unreadable(reason: str) -> Exception:
    return bad_request(f"The filter is not valid: {reason}.", code="InvalidFilter", target="filter")
