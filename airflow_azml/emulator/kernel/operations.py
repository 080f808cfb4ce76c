"""Long-running operations: what `Azure-AsyncOperation` and `Location` point to.

An operation belongs to one resource. Engines begin it, and succeed or fail it when the resource has come to its end;
the answer of its status URL is always read from the store, so that it outlives a restart.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.facts import Pace
    from airflow_azml.emulator.kernel.store import Document, Store

KIND = "operation"


class Operations:
    """The long-running operations of the workspace.

    :param store: where they are kept.
    :param pace: says how many seconds clients are asked to wait between two looks.
    """

    def __init__(self, store: Store, pace: Pace) -> None:
        self._store = store
        self._pace = pace

    def begin(self) -> str:
        """Begin an operation and return its id."""
        operation_id = str(uuid.uuid4())
        self._store.put(KIND, operation_id, {"id": operation_id, "status": "InProgress", "began": time.time()})
        return operation_id

    def succeed(self, operation_id: str) -> None:
        """End the operation well."""
        self._end(operation_id, {"status": "Succeeded", "percentComplete": 100.0})

    def fail(self, operation_id: str, code: str, message: str, *, status: str = "Failed") -> None:
        """End the operation as Failed (or Canceled) with the reason."""
        self._end(operation_id, {"status": status, "error": {"code": code, "message": message, "details": []}})

    def get(self, operation_id: str) -> Document | None:
        """Return the operation's document."""
        return self._store.get(KIND, operation_id)

    def wait_headers(self, operation: Document) -> dict[str, str]:
        """Headers of an answer about the operation's status: when to look again, while it is under way."""
        return {"Retry-After": str(self._pace.retry_after)} if operation["status"] == "InProgress" else {}

    def headers(self, operation_id: str, base: str, family: str, *, location: bool = False) -> dict[str, str]:
        """Headers of the answer that began the operation.

        :param family: the URL's last word but one: `computeOperationsStatus` or `mfeOperationsStatus`.
        :param location: also send `Location` (deletions and v2 resources do).
        """
        root = (
            f"{base}/subscriptions/{facts.SUBSCRIPTION}/providers/Microsoft.MachineLearningServices"
            f"/locations/{facts.LOCATION}"
        )
        query = "?api-version=2023-10-01&service=new"
        headers = {
            "Azure-AsyncOperation": f"{root}/{family}/{operation_id}{query}",
            "Retry-After": str(self._pace.retry_after),
            "x-ms-async-operation-timeout": "PT30M",
        }
        if location:
            results = family.replace("OperationsStatus", "OperationResults")
            headers["Location"] = f"{root}/{results}/{operation_id}{query}"
        return headers

    def _end(self, operation_id: str, outcome: dict[str, Any]) -> None:
        with self._store.change(KIND, operation_id) as operation:
            operation.update(outcome)
