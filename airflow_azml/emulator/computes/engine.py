"""The computes of the workspace: clusters whose nodes come and go with the demand of the runs, and instances.

The run engine asks `assign` for nodes and gives them back with `release`; the routes create, change and delete.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.computes import nodes, vm_sizes
from airflow_azml.emulator.computes.demand import Demand
from airflow_azml.emulator.computes.model import KIND
from airflow_azml.emulator.computes.specs import INSTANCE, merge, rescale
from airflow_azml.emulator.http import faults
from airflow_azml.emulator.kernel.operations import Failure
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.kernel.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airflow_azml.emulator.kernel.facts import Pace
    from airflow_azml.emulator.kernel.operations import Operations
    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.kernel.ticker import Steps


class Computes:
    """The computes of the workspace and their nodes.

    :param store: where they are kept.
    :param operations: the long-running operations that creating, changing and deleting them begins.
    :param pace: how long things take.
    """

    def __init__(self, store: Store, operations: Operations, pace: Pace) -> None:
        self._store, self._operations, self._pace = store, operations, pace
        self._ticker = Ticker(store, pace.tick, self._steps, "computes")
        self._demand = Demand(self._ticker.wake)
        pace.watchers.append(self._ticker.wake)
        self.on_removed: list[Callable[[str], None]] = []
        """Called with a compute's name when its nodes go for good or are restarted; may be called twice."""

    def start(self) -> None:
        """Take up the changes that were under way and let nodes come and go."""
        self._ticker.start()

    def stop(self) -> None:
        """Stop; what was under way goes on at the next start."""
        self._ticker.stop()

    # What the run engine asks.

    def exists(self, name: str) -> bool:
        """Tell whether runs may be sent to the compute."""
        compute = self._store.get(KIND, name)
        return compute is not None and compute["provisioningState"] not in {"Deleting", "Failed"}

    def capacity(self, name: str) -> int:
        """Return the most nodes that the compute can ever give to a run."""
        compute = self._store.get(KIND, name)
        return self._limits(compute, powered=True).maximum if compute else 0

    def assign(self, name: str, run_id: str, node_count: int) -> bool:
        """Ask for nodes for a run, again and again until it has them; True when it has.

        The demand makes the cluster grow. Nodes are given in the order in which runs first asked.
        """
        self._demand.ask(name, run_id, node_count)
        with suppress(AbsentError), self._store.change(KIND, name) as compute:
            if self._grant(compute, run_id, node_count):
                self._demand.withdraw(run_id)
                return True
        return False

    def holds(self, name: str, run_id: str) -> bool:
        """Tell whether the run has nodes of the compute."""
        compute = self.find(name)
        return compute is not None and nodes.holds(compute["nodes"], run_id)

    def release(self, run_id: str) -> None:
        """Take the run's nodes and its demand back."""
        self._demand.withdraw(run_id)
        for compute in self.list():
            if nodes.holds(compute["nodes"], run_id):
                with suppress(AbsentError), self._store.change(KIND, compute["name"]) as current:
                    nodes.free(current["nodes"], run_id, time.time())

    def reconcile(self, run_ids: Collection[str]) -> None:
        """Take the nodes of all runs but these back: what a killed emulator may have left."""
        with self._store.transaction():  # none of them goes meanwhile
            for compute in self.list():
                with self._store.change(KIND, compute["name"]) as current:
                    for node in current["nodes"]:
                        if node["run"] and node["run"] not in run_ids:
                            nodes.free(current["nodes"], node["run"], time.time())

    def _grant(self, compute: Document, run_id: str, node_count: int) -> bool:
        if nodes.holds(compute["nodes"], run_id):
            return True
        if compute["provisioningState"] == "Deleting" or node_count > self._limits(compute, powered=True).maximum:
            self._demand.withdraw(run_id)
            return False
        if not self._demand.is_next(compute["name"], run_id, nodes.counts(compute["nodes"])["idle"]):
            return False
        nodes.allot(compute["nodes"], run_id, node_count, time.time())
        return True

    # What the routes ask.

    def list(self) -> list[Document]:
        """Return all computes, by name."""
        return self._store.all(KIND)

    def find(self, name: str) -> Document | None:
        """Return a compute, or None."""
        return self._store.get(KIND, name)

    def get(self, name: str) -> Document:
        """Return a compute; the 404 of the service when there is none."""
        compute = self.find(name)
        if compute is None:
            raise faults.not_found("Compute", name)
        return compute

    def put(self, name: str, spec: dict[str, Any]) -> tuple[Document, str]:
        """Begin to create a compute, or to change the one that exists; return it and the operation's id."""
        with self._store.put_or_change(KIND, name) as compute:
            if not compute:
                compute.update(_created(name, spec))
                operation_id = self._begin(compute, {"state": "Running", **_outcome(spec)}, "Create")
            else:
                operation_id = self._respec(compute, merge(compute["spec"], spec))
            return compute, operation_id

    def rescale(self, name: str, body: dict[str, Any]) -> tuple[Document, str]:
        """Begin to change the scale settings of a cluster; return it and the operation's id."""
        with self._changing(name) as compute:
            return compute, self._respec(compute, rescale(compute["spec"], body))

    def delete(self, name: str) -> str:
        """Begin to delete a compute; return the operation's id."""
        with self._changing(name) as compute:
            compute.update(provisioningState="Deleting", state="Deleting")
            return self._begin(compute, {"provisioningState": "Deleted"}, "Delete", interrupts=True)

    def power(self, name: str, action: str) -> str:
        """Begin to start, stop or restart an instance; return the operation's id."""
        passing, final = {
            "start": ("Starting", "Running"),
            "stop": ("Stopping", "Stopped"),
            "restart": ("Restarting", "Running"),
        }[action]
        with self._changing(name) as compute:
            _refuse_when_deleting(compute)
            if compute["spec"]["computeType"] != INSTANCE:
                raise faults.bad_request(f"Compute '{name}' is not of type {INSTANCE}: it cannot {action}.")
            compute["state"] = passing
            return self._begin(compute, {"state": final}, action.capitalize(), interrupts=action != "start")

    def _respec(self, compute: Document, spec: dict[str, Any]) -> str:
        _refuse_when_deleting(compute)
        if compute["provisioningState"] != "Creating":
            compute["provisioningState"] = "Updating"
        compute.update(spec=spec, modifiedOn=_now())
        return self._begin(compute, _outcome(spec))

    def _begin(
        self, compute: Document, outcome: dict[str, Any], action: str | None = None, *, interrupts: bool = False
    ) -> str:
        """Put the compute on its way to the outcome, together with what was under way before."""
        earlier = compute["change"] or {"outcome": {}, "interrupts": False}
        if action:
            compute["lastOperation"] = {"operationName": action, "operationTime": _now()}
        return self._operations.begin(
            KIND,
            compute["name"],
            compute,
            self._pace.compute,
            joins=True,
            outcome={**earlier["outcome"], **outcome},
            interrupts=earlier["interrupts"] or interrupts,
        )

    # The passing of time.

    def _steps(self) -> Steps:
        for compute in self.list():
            if compute["change"] and self._ticker.is_due(compute["change"]["due"]):
                yield compute["name"], partial(self._finish, compute)
            elif self._advance(compute):
                yield compute["name"], partial(self._move_nodes, compute["name"])
            self._ticker.wake_at(nodes.next_move(compute["nodes"], self._limits(compute), time.time()))

    def _advance(self, compute: Document) -> bool:
        """Bring the nodes to the present; tell whether that changes any."""
        return nodes.advance(compute["nodes"], self._limits(compute), self._demand.total(compute["name"]), time.time())

    def _move_nodes(self, name: str) -> None:
        with suppress(AbsentError), self._store.change(KIND, name) as compute:
            self._advance(compute)

    def _finish(self, compute: Document) -> None:
        change, name = compute["change"], compute["name"]
        outcome = change["outcome"]
        if change["interrupts"]:
            outcome = {**outcome, "nodes": []}
            for removed in self.on_removed:
                removed(name)
        deleted, failed = (outcome.get("provisioningState") == state for state in ("Deleted", "Failed"))
        error = outcome["provisioningErrors"][0]["error"] if failed else {}
        failure = Failure(error["code"], error["message"]) if failed else None
        self._operations.finish(KIND, name, change, None if deleted else outcome, failure)

    @contextmanager
    def _changing(self, name: str) -> Iterator[Document]:
        try:
            with self._store.change(KIND, name) as compute:
                yield compute
        except AbsentError as error:
            raise faults.not_found("Compute", name) from error

    def _limits(self, compute: Document, *, powered: bool | None = None) -> nodes.Limits:
        """Return the node limits that hold now (or would hold if the compute were powered)."""
        spec = compute["spec"]
        if powered is None:
            powered = compute["provisioningState"] in {"Succeeded", "Updating"} and compute["state"] == "Running"
        if spec["computeType"] == INSTANCE:
            return nodes.Limits(1, 1, 0, 0) if powered else nodes.Limits(0, 0, 0, 0)
        scale = spec["scaleSettings"]
        most = scale["maxNodeCount"]
        least = scale["minNodeCount"] if powered else 0
        return nodes.Limits(least, most if powered else 0, scale["idleSeconds"], self._pace.node)


def _created(name: str, spec: dict[str, Any]) -> Document:
    now = _now()
    states = {"provisioningState": "Creating", "state": "Creating", "lastOperation": None, "change": None}
    return {"name": name, "spec": spec, "createdOn": now, "modifiedOn": now, "nodes": [], **states}


def _outcome(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what comes of creating or changing a compute: an unknown size is accepted, and then fails it."""
    if vm_sizes.is_known(spec["vmSize"]):
        return {"provisioningState": "Succeeded"}
    error = {"error": vm_sizes.unsupported(spec["vmSize"])}
    return {"provisioningState": "Failed", "state": "CreateFailed", "provisioningErrors": [error]}


def _refuse_when_deleting(compute: Document) -> None:
    if compute["provisioningState"] == "Deleting":
        raise faults.conflict("Conflict", f"Compute '{compute['name']}' is being deleted.")


def _now() -> str:
    return datetime.now(UTC).isoformat()
