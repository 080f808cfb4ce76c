"""Long-running operations: how every kind of resource comes, changes and goes, one transaction for each step.

`begin` puts a resource on its way: the operation and the resource's `change`, which says what is to come of it, are
written together. `finish` ends both together. A request that comes in between supersedes the operations under way, or
joins them. What a killed emulator left is therefore either not begun or still under way, and is taken up again.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document, Store

KIND = "operation"
UNDER_WAY = "InProgress"
KEPT_SECONDS = 24 * 3600  # how long an operation that has ended can be asked for
SWEEP_SECONDS = 3600  # between two looks for operations that can go
SUPERSEDED = "The operation was canceled by another operation that has a higher priority."
LOST = "The emulator that began the operation was stopped before it had ended."


class Operation(TypedDict):
    """An operation in the store. Beside these members it may have `ended`, `percentComplete` and `error`."""

    id: str
    kind: str
    key: str
    status: str
    began: float


class Change(TypedDict):
    """What a resource is on its way to. Its kind adds what it has to know to get there."""

    operations: list[str]
    due: float


MODELS = {KIND: Operation}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an operation has failed.

    :param code: the service's error code.
    :param message: the service's message.
    :param status: how the operation is said to have ended.
    """

    code: str
    message: str
    status: str = "Failed"


class Operations:
    """The long-running operations of the workspace.

    :param store: where they and their resources are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sweep_at = 0.0

    def begin(
        self, kind: str, key: str, resource: Document, seconds: float, *, joins: bool = False, **plan: Any
    ) -> str:
        """Begin an operation on a resource, which the caller writes in the same transaction; return its id.

        :param seconds: how long it takes.
        :param joins: end those that are under way together with this one, instead of superseding them.
        :param plan: further members of the resource's `change`.
        """
        if not self._store.in_transaction:
            raise RuntimeError("an operation is begun in the transaction that changes its resource")
        if time.time() > self._sweep_at:
            self.sweep()
        operation: Operation = {
            "id": str(uuid.uuid4()), "kind": kind, "key": key, "status": UNDER_WAY, "began": time.time(),
        }  # fmt: skip
        self._store.put(KIND, operation["id"], {**operation})
        earlier = resource["change"]["operations"] if resource.get("change") else []
        if not joins:
            self._end(earlier, Failure("OperationCanceled", SUPERSEDED, "Canceled"))
        operations = [*(earlier if joins else []), operation["id"]]
        resource["change"] = {"operations": operations, "due": time.time() + seconds, **plan}
        return operation["id"]

    def finish(
        self, kind: str, key: str, change: Document, outcome: Document | None, failure: Failure | None = None
    ) -> bool:
        """End a change and its operations; False when another request has come in between, whose change it is now.

        :param change: as the caller found it in the resource.
        :param outcome: members that the resource gets; None deletes the resource.
        :param failure: why the operations have failed, if they have.
        """
        with self._store.transaction():
            resource = self._store.get(kind, key)
            if resource is None or resource["change"] != change:
                return False
            if outcome is None:
                self._store.delete(kind, key)
            else:
                self._store.put(kind, key, {**resource, **outcome, "change": None})
            self._end(change["operations"], failure)
            return True

    def get(self, operation_id: str) -> Document | None:
        """Return the operation's document."""
        return self._store.get(KIND, operation_id)

    def reconcile(self) -> None:
        """End the operations that no resource is changed by: only emulators before version 1 of the store left any."""
        for operation in self._store.all(KIND):
            if operation["status"] == UNDER_WAY:
                resource = self._store.get(operation.get("kind", ""), operation.get("key", "")) or {}
                if operation["id"] not in (resource.get("change") or {}).get("operations", []):
                    self._end([operation["id"]], Failure("OperationCanceled", LOST, "Canceled"))

    def sweep(self) -> None:
        """Delete the operations that ended long ago. `begin` does it each hour: without a new one nothing grows."""
        self._sweep_at = time.time() + SWEEP_SECONDS
        for operation in self._store.all(KIND):
            ended = float(operation.get("ended") or operation["began"])
            if operation["status"] != UNDER_WAY and time.time() - ended > KEPT_SECONDS:
                self._store.delete(KIND, operation["id"])

    def _end(self, operation_ids: list[str], failure: Failure | None) -> None:
        outcome: dict[str, Any] = {"status": "Succeeded", "percentComplete": 100.0}
        if failure:
            error = {"code": failure.code, "message": failure.message, "details": []}
            outcome = {"status": failure.status, "error": error}
        for operation_id in operation_ids:
            with self._store.put_or_change(KIND, operation_id) as operation:
                if operation:
                    operation.update(outcome, ended=time.time())
