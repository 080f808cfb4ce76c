"""Airflow over its REST API: what a person does in the UI, and what the UI shows.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any, Self

import httpx

WAITING = frozenset({"", "scheduled", "queued"})
ACTIVE = frozenset({"running", "deferred", "up_for_reschedule", "up_for_retry", "restarting"})
PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class AirflowApiError(Exception):
    """Airflow answered with an error; the message has its status and reason."""


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task of one dag run.

    :param task_id: the task.
    :param state: Airflow's word; empty while nothing has happened.
    :param try_number: how often it was started; 0 when never.
    :param started: when; None when it has not.
    :param ended: when; None when it has not.
    """

    task_id: str
    state: str
    try_number: int = 0
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether it is being worked on, by a worker or the triggerer."""
        return self.state in ACTIVE

    def seconds(self, now: datetime | None = None) -> float | None:
        """Return how long it has taken so far; None before it starts."""
        return ((self.ended or now or datetime.now(UTC)) - self.started).total_seconds() if self.started else None

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """Read what the API says of a task instance."""
        state, started, ended = body["state"] or "", _time(body["start_date"]), _time(body["end_date"])
        # The end of the previous try, or of the step before a deferral, stands until the next one.
        return cls(body["task_id"], state, body["try_number"], started, None if state in WAITING | ACTIVE else ended)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a task's log.

    :param text: the message.
    :param level: `info`, `error`, ...
    :param logger: who wrote it.
    :param error: the exception that came with it: class and message.
    """

    text: str
    level: str = ""
    logger: str = ""
    error: str = ""

    @classmethod
    def from_json(cls, entry: dict[str, Any] | str) -> Self:
        """Read one entry of the API's answer: structured, or a plain line."""
        if isinstance(entry, str):
            return cls(entry)
        raised = entry.get("error_detail") or []  # its causes follow it
        error = f"{raised[0]['exc_type']}: {raised[0]['exc_value']}" if raised else ""
        return cls(str(entry["event"]), str(entry.get("level", "")), str(entry.get("logger", "")), error)


class AirflowApi:
    """Airflow's REST API for one user.

    :param url: base URL of the api-server.
    :param username: who signs in.
    :param password: with what.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._login = {"username": username, "password": password}
        # Airflow is on this machine: no proxy of the environment stands between.
        self._http = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_healthy(self) -> bool:
        """Tell whether every part of Airflow is up."""
        try:
            health = self._http.get("/api/v2/monitor/health").json()
        except (httpx.TransportError, ValueError):
            return False
        return all(health.get(part, {}).get("status") == "healthy" for part in PARTS)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call `/api/v2{path}` and return the answer's JSON; raise AirflowApiError."""
        if "Authorization" not in self._http.headers:
            token = _checked(self._http.post("/auth/token", json=self._login))["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"
        return _checked(self._http.request(method, f"/api/v2{path}", **options))

    def add_connection(self, conn_id: str, values: dict[str, Any], url: str) -> None:
        """Keep a connection in Airflow's database, where the UI shows it.

        :param values: as in the environment variable of a connection.
        :param url: whose host and port it shows. The form's Test button of Airflow 3.3.2 refuses a kept connection
            without a port (https://github.com/apache/airflow/pull/73298).
        """
        body = {**values, "connection_id": conn_id, "extra": json.dumps(values["extra"])}
        self.call("POST", "/connections", json={**body, "host": httpx.URL(url).host, "port": httpx.URL(url).port})

    def knows(self, dag_id: str) -> bool:
        """Tell whether the DAG was parsed; raise AirflowApiError when files could not be imported."""
        known = any(dag["dag_id"] == dag_id for dag in self.call("GET", "/dags", params={"limit": 1000})["dags"])
        broken = [] if known else self.call("GET", "/importErrors")["import_errors"]
        if broken:
            reasons = "\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in broken)
            raise AirflowApiError(f"DAG files could not be imported.\n{reasons}")
        return known

    def trigger(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        logical_date: datetime | None = None,
        conf: dict[str, Any] | None = None,
    ) -> str:
        """Start a dag run, un-pause the DAG, and return the dag run's id: Airflow chooses one when none is given.

        In this order: un-pausing first would let the scheduler start the DAG's latest scheduled run before ours.
        """
        body: dict[str, Any] = {"logical_date": logical_date and logical_date.isoformat(), "conf": conf or {}}
        if run_id:
            body["dag_run_id"] = run_id
        run_id = str(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a dag run."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_ids(self, dag_id: str) -> list[str]:
        """Return the DAG's tasks, each one after those that it waits for."""
        tasks = self.call("GET", f"/dags/{dag_id}/tasks")["tasks"]
        order: TopologicalSorter[str] = TopologicalSorter({task["task_id"]: () for task in tasks})
        for task in tasks:
            for downstream in task["downstream_task_ids"]:
                order.add(downstream, task["task_id"])
        return list(order.static_order())

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return the dag run's tasks."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 100})
        return [TaskInstance.from_json(body) for body in found["task_instances"]]

    def log(self, dag_id: str, run_id: str, task: TaskInstance) -> list[LogLine]:
        """Return the log of a task's latest try."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        answer = self.call("GET", path, params={"full_content": True}, headers={"Accept": "application/json"})
        return [LogLine.from_json(entry) for entry in answer["content"]]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return what a task has pushed, None when it has not."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries"
        entries = self.call("GET", path)["xcom_entries"]
        if all(entry["key"] != key for entry in entries):
            return None
        return self.call("GET", f"{path}/{key}", params={"deserialize": False})["value"]

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """Return a task's extra links: text and URL."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        links: dict[str, str | None] = self.call("GET", path)["extra_links"]
        return links


def _checked(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise AirflowApiError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
