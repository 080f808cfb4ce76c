"""XComs of a deferred task, written and read by its trigger.

A `TaskSuccessEvent` may carry XComs, too, but Airflow 3.3 stores these as the text of their JSON: a task further down
would pull text instead of a dict.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.xcom import BaseXCom


class TaskXCom:
    """The XComs of one task instance.

    :param task_instance: of the trigger; None where there is no triggerer around it.
    """

    __slots__ = ("_whose",)

    def __init__(self, task_instance: Any) -> None:
        whose = ("dag_id", "run_id", "task_id", "map_index")
        works = task_instance is not None and hasattr(BaseXCom, "aset")  # since Airflow 3.3
        self._whose = {name: getattr(task_instance, name) for name in whose} if works else None

    def __bool__(self) -> bool:
        return self._whose is not None

    async def set(self, key: str, value: Any) -> None:
        """Push a value."""
        if self._whose:
            await BaseXCom.aset(key, value, **self._whose)

    async def get(self, key: str) -> Any:
        """Return what was pushed, None when nothing was."""
        return await BaseXCom.aget_one(key=key, **self._whose) if self._whose else None
