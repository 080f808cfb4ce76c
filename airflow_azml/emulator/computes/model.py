"""A compute as the store keeps it."""

from __future__ import annotations

from typing import Any, TypedDict

from airflow_azml.emulator.kernel.operations import Change

KIND = "compute"


class Node(TypedDict):
    """A node; its states are the service's: preparing, idle, running, leaving."""

    id: str
    number: int
    state: str
    since: float
    run: str | None


class ComputeChange(Change):
    """What becomes of a compute."""

    outcome: dict[str, Any]
    interrupts: bool


class Compute(TypedDict):
    """What the compute is (`spec`), where it stands, the change under way and its nodes."""

    name: str
    spec: dict[str, Any]
    createdOn: str
    modifiedOn: str
    provisioningState: str
    state: str
    lastOperation: dict[str, Any] | None
    change: ComputeChange | None
    nodes: list[Node]


MODELS = {KIND: Compute}
