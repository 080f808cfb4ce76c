"""What a task does when Airflow kills it: cancel its run and wait for that, unless another process continues the task.

Airflow kills a try with a late heartbeat in the same way as a try that a person has stopped. After a late heartbeat the
task continues: another process adopts the same run, which must not be cancelled.
docs/kill-protocol.md shows the steps as a diagram.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowException

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.transport.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task

log = logging.getLogger(__name__)
KEY = "azureml_owner"
PATIENCE = 3.0  # seconds, of the five that Airflow leaves a task between SIGTERM and SIGKILL
# Seconds in which a run may still appear whose submission was broken off after the whole request had been sent.
MAY_APPEAR = 10.0
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
        """Tell whether another process goes on, or will go on, with the task. If Airflow does not answer, none does.

        Airflow is asked in another thread: this one may have been interrupted while it talked to its supervisor, and
        would wait for itself.
        """
        answers: list[bool] = []
        asking = Thread(target=lambda: answers.append(self._ask()), daemon=True)
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
        except Exception as error:  # noqa: BLE001 - whatever Airflow answers: nobody is known to go on
            log.warning("it is not known whether another process goes on with the task: %s", error)
            return False
        return bool(owner != self._me)


class Kill:
    """What a kill means for one process of a task.

    :param task: the task at work.
    :param cancels: whether its run is cancelled when it is killed.
    """

    def __init__(self, task: Task, *, cancels: bool) -> None:
        self.happened = False
        self.cancels = cancels
        self.target: Target | None = None
        self._task = task
        self._claim: Claim | None = None
        self._submitting = self._at_work = False
        self._ending: Thread | None = None

    def claim(self) -> None:
        """Tell former processes of the task that this one has taken over."""
        self._claim = Claim(self._task.context["ti"])

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Do the task's work. Its process does not end before a kill has done all that it has to do."""
        self._at_work = True
        try:
            yield
        except KeyboardInterrupt:  # Ctrl-C during `airflow dags test`
            self.now()
            raise
        finally:
            self._at_work = False
            self._join()

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Start something. A kill in between may find nothing to cancel yet, so it is cancelled afterwards."""
        self._submitting = True
        yield
        self._submitting = False
        self._join()
        if self.happened and self.target and self.cancels_target():
            self._end(self.target, 0.0)

    def now(self) -> None:
        """Cancel what was started, or is just being started. Airflow's signal handler calls this.

        The work is done in another thread. A signal interrupts this one wherever it is, and what it holds is released
        only when the handler has returned: often the line to its supervisor, which is needed to ask Airflow and to
        mask a new token.
        """
        self.happened = True
        if not (self.target and self.cancels_target()):
            return
        if self._ending is None:
            arguments = (self.target, MAY_APPEAR if self._submitting else 0.0)
            self._ending = Thread(target=self._end, args=arguments, name="azureml-on-kill")
            self._ending.start()
        if not self._at_work:
            self._ending.join()

    def cancels_target(self) -> bool:
        """Tell whether a kill cancels what the task works on: only runs can be cancelled."""
        return self.cancels and self.target is not None and AzureMLClient.kind_of(self.target).cancellable

    def refuse_to_start(self) -> None:
        """Raise when the task has been killed: Airflow leaves it seconds, in which nothing new may be started."""
        if self.happened:
            raise AirflowException(f"{self.target}: its task was killed before it was started")

    def refuse_to_wait(self) -> None:
        """Raise after a kill that leaves the target alone: a worker that shuts down waits for its tasks."""
        if self.happened and not self.cancels_target():
            raise AirflowException(f"{self.target}: its task was killed; it goes on, and the next try will find it")

    def _join(self) -> None:
        if self._ending:
            self._ending.join()

    def _end(self, target: Target, may_appear: float) -> None:
        if self._claim and self._claim.is_superseded():
            self.cancels = False
            self._task.log.info("%s: it is left to the process that goes on with the task", target)
            return
        try:
            self._task.cancel(target, may_appear=may_appear)
        except AzureMLError as error:
            self._task.log.error("%s: its task has ended, but it could not be cancelled: %s", target, error)  # noqa: TRY400 - the message says why
