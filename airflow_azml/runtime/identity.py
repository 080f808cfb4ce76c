"""The identity of a task's work: the ids of the runs and models that it creates, and the tags that name the task.

Only a later try of the same task can adopt what the task creates. The id is chosen before anything is sent: a readable
slug and a hash of (nonce, generation, attempt). The nonce is a random value in Airflow's task state store (Airflow 3.3
and later). It is the same in every try of the task, but different in another Airflow, in a rebuilt database and in a
dag run that was deleted and created again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from airflow.sdk.execution_time import context as sdk_context

from airflow_azml.client.names import deterministic_id
from airflow_azml.client.transport.errors import NotOwnedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_azml.client.resources.run_history import Run

NONCE_KEY = "azureml_nonce"
URL_TAG = "airflow_url"
# The tags that have to agree, and what a person calls them.
LABELS = {
    "airflow_dag_id": "DAG",
    "airflow_run_id": "dag run",
    "airflow_task_id": "task",
    "airflow_map_index": "map index",
    "airflow_namespace": "namespace",
    "airflow_nonce": "nonce",
}
_DIGEST = 12  # characters
_LONGEST_TAG = 256  # characters: Resource Manager's limit; none is published for runs and models


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a task instance is, among all Airflows that use the workspace.

    :param map_index: -1 for a task that is not mapped.
    :param generation: see :func:`generation_of`.
    :param namespace: of the connection; empty when it has none.
    :param nonce: the random value; empty when Airflow has no task state store.
    :param url: the task's page in Airflow.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    generation: int
    namespace: str = ""
    nonce: str = ""
    url: str = ""

    @classmethod
    def of(cls, context: Context, namespace: str) -> Identity:
        """Return the identity of the task that is running. The nonce is stored when this returns."""
        ti = context["ti"]
        return cls(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            generation=generation_of(context),
            namespace=namespace,
            nonce=_nonce(context),
            url=str(getattr(ti, "log_url", "")),
        )

    def name(self, *more: object, generation: int | None = None) -> str:
        """Return a readable id: the same in every try of this generation, and nobody else's.

        :param more: tells several ids of the task apart, such as the number of the attempt.
        :param generation: another than the present one.
        """
        task = (self.dag_id, self.run_id, self.task_id, self.map_index)
        who = (self.nonce,) if self.nonce else (self.namespace, *task)
        which = self.generation if generation is None else generation
        return deterministic_id((self.dag_id, self.task_id), *who, which, *more)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a run, or properties of a model version, that the task creates.

        They show only a digest of the nonce: with the nonce itself anybody could compute our next ids.
        """
        values = {
            "airflow_dag_id": self.dag_id,
            "airflow_run_id": self.run_id,
            "airflow_task_id": self.task_id,
            "airflow_map_index": str(self.map_index),
            "airflow_namespace": self.namespace,
            "airflow_nonce": self.nonce and hashlib.sha256(self.nonce.encode()).hexdigest()[:_DIGEST],
            URL_TAG: self.url if len(self.url) <= _LONGEST_TAG else "",
        }
        return {name: value for name, value in values.items() if value}

    def check(self, what: object, tags: Mapping[str, str]) -> None:
        """Raise NotOwnedError when something that has our id carries the tags of another task.

        Something with our id and without any such tag is ours. A run cannot be started with tags: it is tagged by a
        second request, and a worker may die in between. Its id alone proves as much as the tags do: it is a hash of the
        nonce, which only this task instance knows; without a nonce it is a hash of the very values that the tags hold.
        """
        theirs = {name: tags[name] for name in LABELS if tags.get(name)}
        ours = {name: value for name, value in self.tags.items() if name in LABELS}
        if theirs and theirs != ours:
            raise NotOwnedError(
                f"{what} has the id that this task uses, but its tags say that it belongs to {_shown(theirs)}; this "
                f"task is {_shown(ours)}. It was neither adopted nor cancelled."
            )

    def check_run(self, run: Run) -> None:
        """Raise NotOwnedError when the run is another task's."""
        self.check(f"run {run.id}", run.tags)


def generation_of(context: Context) -> int:
    """Return how many tries the task had had when a person last cleared it; 0 when nobody has.

    Airflow's retries do not change it: only clearing sets `max_tries`, to the tries so far plus the task's retries. (So
    a change of `retries` in the DAG file looks like a clearing to the tries that are under way: make none meanwhile.)
    Clearing a task that is running does not set it: that try is killed, and its run ends Canceled, or is detached.
    """
    return max((context["ti"].max_tries or 0) - (context["task"].retries or 0), 0)


def _nonce(context: Context) -> str:
    """Return the task instance's nonce; make and store it if there is none yet. Empty without a task state store.

    It is stored before anything is submitted, so a task that dies in between has lost nothing. It is read again after
    it was stored: of two processes that made one at the same time, both use the one that was stored last. A store that
    does not return it counts as none: a new nonce in each try would start a new run in each try.
    """
    store = context.get("task_state_store")
    if store is None:
        return ""
    if not store.get(NONCE_KEY):
        # It is deleted with its dag run. By default it would be after 30 days, which a dag run may outlive.
        store.set(NONCE_KEY, uuid4().hex, retention=sdk_context.NEVER_EXPIRE)
    return str(store.get(NONCE_KEY) or "")


def _shown(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{LABELS[name]} '{value}'" for name, value in tags.items())
