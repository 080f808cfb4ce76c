"""The nodes of a compute: how they come, are allotted to runs, idle and leave. Pure functions on plain data.

A node is a dictionary `{"id", "number", "state", "since", "run"}`; its states are the service's: preparing, idle,
running, leaving. Nothing here knows of the store, of HTTP or of the clock: the time is an argument.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Node = dict[str, Any]
STATES = ("preparing", "running", "idle", "unusable", "leaving", "preempted")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many nodes a compute may have.

    :param minimum: nodes that stay also when idle.
    :param maximum: nodes that it never exceeds.
    :param idle_seconds: how long a node above the minimum idles before it leaves.
    :param join_seconds: how long a node takes to join, and to leave.
    """

    minimum: int
    maximum: int
    idle_seconds: float
    join_seconds: float


def advance(nodes: list[Node], limits: Limits, demand: int, now: float) -> bool:
    """Bring the nodes to the present: let them arrive and leave, then ask for more or dismiss some.

    :return: whether that has changed any.
    """
    before = [(node["id"], node["state"]) for node in nodes]
    nodes[:] = [node for node in nodes if not (node["state"] == "leaving" and _lasted(node, limits.join_seconds, now))]
    for node in nodes:
        if node["state"] == "preparing" and _lasted(node, limits.join_seconds, now):
            _enter(node, "idle", now)
    wanted = max(limits.minimum, min(limits.maximum, _count(nodes, "running") + demand))
    _dismiss(nodes, limits, wanted, now)
    missing = min(wanted - _live(nodes), limits.maximum - len(nodes))
    for _ in range(missing):
        nodes.append({"id": f"tvmps_{uuid.uuid4().hex}_d", "number": _free_number(nodes), "run": None})
        _enter(nodes[-1], "preparing", now)
    return before != [(node["id"], node["state"]) for node in nodes]


def next_move(nodes: list[Node], limits: Limits, now: float) -> float:
    """Return when `advance` may have something to do again, if nothing else changes; infinity for never."""
    lasts = {"preparing": limits.join_seconds, "leaving": limits.join_seconds, "idle": limits.idle_seconds}
    ends = [node["since"] + lasts[node["state"]] for node in nodes if node["state"] in lasts]
    return min((end for end in ends if end > now), default=math.inf)


def holds(nodes: list[Node], run_id: str) -> bool:
    """Tell whether the run has nodes."""
    return any(node["run"] == run_id for node in nodes)


def allot(nodes: list[Node], run_id: str, number: int, now: float) -> None:
    """Give the run that many of the idle nodes."""
    for node in [node for node in nodes if node["state"] == "idle"][:number]:
        _enter(node, "running", now, run_id)


def free(nodes: list[Node], run_id: str, now: float) -> None:
    """Let the run's nodes idle."""
    for node in nodes:
        if node["run"] == run_id:
            _enter(node, "idle", now)


def counts(nodes: list[Node]) -> Mapping[str, int]:
    """How many nodes are in each state of the service's vocabulary."""
    return {state: _count(nodes, state) for state in STATES}


def _dismiss(nodes: list[Node], limits: Limits, wanted: int, now: float) -> None:
    for node in [node for node in nodes if node["state"] == "idle"]:
        too_many = _live(nodes) > limits.maximum
        tired = _live(nodes) > wanted and _lasted(node, limits.idle_seconds, now)
        if too_many or tired:
            _enter(node, "leaving", now)


def _enter(node: Node, state: str, now: float, run_id: str | None = None) -> None:
    node.update(state=state, since=now, run=run_id)


def _lasted(node: Node, seconds: float, now: float) -> bool:
    return bool(now - node["since"] >= seconds)


def _live(nodes: list[Node]) -> int:
    return len(nodes) - _count(nodes, "leaving")


def _count(nodes: list[Node], state: str) -> int:
    return sum(node["state"] == state for node in nodes)


def _free_number(nodes: list[Node]) -> int:
    taken = {node["number"] for node in nodes if "number" in node}
    return next(number for number in count() if number not in taken)
