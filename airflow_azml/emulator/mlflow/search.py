"""MLflow's search language: `metrics.acc > 0.5 and params."x" = '1' and tags.team ILIKE 'a%'`, and its `order_by`.

Entities are metrics, params (parameters), tags and attributes, which may be left out before an attribute's name.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import pick, pick_text
from airflow_azml.emulator.mlflow.records import read_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = dict[str, Any]

FIELD = r"""(?:(?P<entity>\w+)\.)?(?P<key>"[^"]*"|`[^`]*`|[\w./-]+)"""
COMPARISON = re.compile(
    FIELD + r"""\s*(?P<comparator>>=|<=|!=|=|>|<|\bI?LIKE\b)\s*(?P<value>'[^']*'|"[^"]*"|[-+\w.]+)""", re.IGNORECASE
)
ORDER = re.compile(FIELD + r"(?:\s+(?P<direction>ASC|DESC))?", re.IGNORECASE)
AND = re.compile(r"\s+AND\s+", re.IGNORECASE)
PAGE_SIZE = 1000
PROMPT = "mlflow.prompt.is_prompt"  # the tag that MLflow's client excludes, whether a model has it or not
ENTITIES = {"metric": "metrics", "param": "params", "parameter": "params", "tag": "tags"}
COMPARATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def listed(body: Any, name: str) -> list[Any]:
    """Read a list."""
    value = pick(body, name, default=[])
    if not isinstance(value, list):
        raise bad_request(f"'{name}' must be a list.", target=name)
    return value


def page(found: list[Run], asked: Any, clauses: list[str] | None = None) -> tuple[list[Run], dict[str, str]]:
    """Return the page of what was found that a request asks for, and how to ask for the next one.

    :param asked: the request: `filter`, `order_by`, `max_results` and `page_token`.
    :param clauses: its order, where `order_by` is not written as the search language writes it.
    """
    clauses = listed(asked, "order_by") if clauses is None else clauses
    found = order(select(found, pick_text(asked, "filter", default="")), clauses)
    start = max(read_integer(asked, "page_token"), 0) if pick(asked, "page_token") else 0
    end = start + (read_integer(asked, "max_results") or PAGE_SIZE)
    return found[start:end], {"next_page_token": str(end)} if end < len(found) else {}


def select(runs: list[Run], expression: str) -> list[Run]:
    """Return the runs (as MLflow renders them) that a filter accepts; the service's 400 for one that is none."""
    rest, position = expression.strip(), 0
    while position < len(rest):
        match = COMPARISON.match(rest, position)
        if match is None:
            raise bad_request(f"Invalid filter at '{rest[position:]}'.", target="filter")
        runs = [run for run in runs if _accepts(run, match)]
        position = match.end()
        joint = AND.match(rest, position)
        if position < len(rest) and (joint is None or joint.end() == len(rest)):
            raise bad_request(f"Invalid filter at '{rest[position:]}': only AND joins comparisons.", target="filter")
        position = joint.end() if joint else position
    return runs


def order(runs: list[Run], clauses: list[Any]) -> list[Run]:
    """Return the runs in order; those that lack a field come last. Without clauses the newest is first."""
    for clause in ["attributes.start_time DESC", *reversed(clauses)]:
        match = ORDER.fullmatch(str(clause).strip())
        if match is None:
            raise bad_request(f"Invalid order_by '{clause}'.", target="order_by")
        pairs = [(_value(run, match), run) for run in runs]
        there = [pair for pair in pairs if pair[0] is not None]
        there.sort(key=operator.itemgetter(0), reverse=(match["direction"] or "").upper() == "DESC")
        runs = [run for _, run in there] + [run for value, run in pairs if value is None]
    return runs


def _accepts(run: Run, match: re.Match[str]) -> bool:
    value, wanted, comparator = _value(run, match), match["value"].strip("'\""), match["comparator"].upper()
    if value is None:
        return comparator == "!=" and match["key"].strip('"`') == PROMPT
    if comparator.endswith("LIKE"):
        pattern = re.escape(wanted).replace("%", ".*").replace("_", ".")
        return (
            re.fullmatch(pattern, str(value), re.DOTALL | (re.IGNORECASE if comparator == "ILIKE" else 0)) is not None
        )
    if isinstance(value, str):
        return COMPARATORS[comparator](value, wanted)
    try:
        return COMPARATORS[comparator](float(value), float(wanted))
    except ValueError as error:
        raise bad_request(f"'{wanted}' is not a number.", target="filter") from error


def _value(run: Run, match: re.Match[str]) -> Any:
    """Return the run's value of a field; None when it has none."""
    entity, key = (match["entity"] or "attributes").casefold(), match["key"].strip('"`')
    entity = ENTITIES.get(entity, entity)
    if entity in {"metrics", "params", "tags"}:
        found = next((pair["value"] for pair in run["data"][entity] if pair["key"] == key), None)
        return float(found) if entity == "metrics" and found is not None else found
    if entity not in {"attributes", "attribute", "attr", "run"}:
        raise bad_request(f"'{match['entity']}' is none of metrics, params, tags, attributes.", target="filter")
    return run["info"].get({"run_id": "run_id", "created": "start_time", "name": "run_name"}.get(key, key))
