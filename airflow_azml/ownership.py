"""Whether a process that is being killed still has the say about what its task has started.

Airflow kills a try that it has given up (its heartbeat came too late, say) just as it kills one that a person has
stopped. But in the first case the task goes on: another process takes up the same run, which must not be cancelled.
"""

from __future__ import annotations

import logging
import threading
from typing import Any
from uuid import uuid4

log = logging.getLogger(__name__)
KEY = "azureml_owner"
PATIENCE = 3.0  # seconds, of the five that Airflow leaves a task between SIGTERM and SIGKILL
# None: a scheduler that took over from a dead one has reset the task.
_GOES_ON = frozenset({None, "up_for_retry", "up_for_reschedule", "scheduled", "queued", "deferred"})


class Claim:
    """One process's claim to its task instance. It is made with an XCom, where a former process finds it.

    :param ti: the task instance.
    """

    def __init__(self, ti: Any) -> None:
        self._ti = ti
        self._me = uuid4().hex
        ti.xcom_push(key=KEY, value=self._me)

    def is_superseded(self) -> bool:
        """Tell whether another process goes on, or will go on, with the task; if Airflow does not say, none does.

        It is asked in a thread of its own: this one may have been interrupted in the middle of talking to its
        supervisor, and would wait for itself.
        """
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(self._ask()), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        return answers == [True]

    def _ask(self) -> bool:
        ti = self._ti
        which: dict[str, Any] = {"map_index": ti.map_index} if ti.map_index >= 0 else {}
        try:
            found = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], **which)
            (state,) = found[ti.run_id].values()
            if state != "running":
                return state in _GOES_ON
            owner = ti.xcom_pull(task_ids=ti.task_id, key=KEY, map_indexes=ti.map_index)
        except Exception as error:  # noqa: BLE001 - whatever Airflow has against it: then nobody is known to go on
            log.warning("whether another process goes on with the task is not known: %s", error)
            return False
        return bool(owner != self._me)
