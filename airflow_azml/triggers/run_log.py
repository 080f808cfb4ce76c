"""The log of a run, shown in the log of the deferred task that waits for it.

The position in the log is saved in an XCom of the task, so that another triggerer can continue there. It is saved only
now and then, because each time costs a transaction. So the lines of the last seconds before a triggerer died may be
shown twice. Before Airflow 3.3 a trigger cannot write an XCom; there the log begins anew.
"""

from __future__ import annotations

import contextvars
import logging
import time
from typing import TYPE_CHECKING

from airflow_azml.triggers.threads import in_thread

if TYPE_CHECKING:
    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Target
    from airflow_azml.client.resources.run_log import LogFollower
    from airflow_azml.triggers.xcom import TaskXCom

log = logging.getLogger(__name__)
KEY = "azureml_log_shown"
KEPT_EVERY = 10.0  # seconds


class RunLog:
    """One run's log on its way to one task's. It is made in the trigger, whose context says which task's log that is.

    :param target: the run.
    :param position: `LogFollower.position` from which to go on.
    :param xcom: of the deferred task.
    :param recalls: whether a former triggerer may have kept how far it came; asking costs a triggerer seconds, once.
    """

    __slots__ = ("_context", "_follower", "_kept", "_recalls", "_xcom", "position", "target")

    def __init__(self, target: Target, position: dict[str, str], xcom: TaskXCom, *, recalls: bool) -> None:
        self.target = target
        self.position = position
        self._xcom = xcom
        self._recalls = recalls
        self._follower: LogFollower | None = None
        self._kept = time.monotonic()
        self._context = contextvars.copy_context()

    async def read(self, client: AzureMLClient) -> list[str]:
        """Return the lines that have not been shown yet."""
        if self._follower is None:
            self.position = await self._recalled() or self.position
            self._follower = client.logs.follow(self.target, self.position)
        return await in_thread(self._follower.read)

    async def show(self, lines: list[str]) -> None:
        """Write them to the task's log, and keep in mind that they are there."""
        if not lines or self._follower is None:
            return
        self._context.run(self._follower.tell, lines)
        self.position = self._follower.position
        if time.monotonic() - self._kept >= KEPT_EVERY:
            self._kept = time.monotonic()
            await self._keep()

    async def _keep(self) -> None:
        try:
            await self._xcom.set(KEY, {**self.position, "run_id": self.target.name})
        except Exception as error:  # noqa: BLE001 - whatever Airflow has against it: the wait goes on
            log.warning("%s: how far its log was shown could not be kept: %s", self.target, error)

    async def _recalled(self) -> dict[str, str] | None:
        """Return how far another triggerer has shown this very run's log."""
        if not self._recalls:
            return None
        try:
            kept = await self._xcom.get(KEY)
        except Exception as error:  # noqa: BLE001 - likewise
            log.warning("%s: how far its log was shown is not known: %s", self.target, error)
            return None
        return kept if isinstance(kept, dict) and kept.get("run_id") == self.target.name else None
