"""Runs: a project folder and a run definition, started on a compute."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_azml.operators.base import AzureMLBaseOperator, AzureMLWaitingOperator, Result
from airflow_azml.task import beside_dag, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Policy, Target

GRACE = 300  # seconds that the service allows a run beyond its timeout: who waits for it cancels it first


class AzureMLStartRunOperator(AzureMLWaitingOperator):
    """Start a training run from a project folder, and wait for it.

    There is exactly one run per attempt: its id is derived from the task, so that a worker that dies at any moment, or
    a request whose answer is lost, leads back to the same run. A run that failed is followed by a new one when Airflow
    retries the task; so is any run when a person clears the task, and one that was still active then is cancelled.

    API: `POST execution/v1.0/.../experiments/{experiment}/startrun` with a multipart zip.

    :param experiment_name: experiment of the run; made when absent.
    :param source_directory: project folder, relative to the DAG file; `.amlignore` (else `.gitignore`) is honoured.
    :param run_definition: what to run: a dict, or the path of a `.json` or `.yml` file beside the DAG (the whole
        definition, or only its `configuration`). Templates in the file are rendered before it is parsed: quote them in
        YAML (`DAY: "{{ ds }}"`), so that what they render to stays text.
    :param compute_name: runs on this compute; overrides the definition's `target`.
    :param max_files: refuse a folder with more files.
    :param max_bytes: refuse a larger folder, bytes before compression.
    :param timeout: seconds for which the run may run. The service is told too (`maxRunDurationSeconds`, five minutes
        more), for the case that nobody of ours is left to cancel it.
    :param queue_timeout: seconds after the submission, or after this try has adopted the run, within which it has to
        begin to run.
    :param stream_logs: show what the run prints in the task's log while it runs.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        "experiment_name",
        "source_directory",
        "run_definition",
        "compute_name",
    )

    def __init__(
        self,
        *,
        experiment_name: str,
        source_directory: str,
        run_definition: dict[str, Any] | str,
        compute_name: str | None = None,
        max_files: int = 2000,
        max_bytes: int = 300 * 1024 * 1024,
        queue_timeout: float | timedelta | None = None,
        stream_logs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.queue_timeout = None if queue_timeout is None else seconds("queue_timeout", queue_timeout)
        self.stream_logs = stream_logs
        self.experiment_name = experiment_name
        self.source_directory = source_directory
        self.run_definition = run_definition
        self.compute_name = compute_name
        self.max_files = max_files
        self.max_bytes = max_bytes

    def submit(self, client: AzureMLClient, context: Context) -> Target:
        """Adopt the run of this attempt, or start it."""
        from airflow_azml.client.definitions import collected_folders  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.files.bundle import Bundle  # noqa: PLC0415 - likewise
        from airflow_azml.runtime import attempts  # noqa: PLC0415 - likewise

        definition = self._checked_definition(context)
        bundle = Bundle(
            beside_dag(context, self.source_directory),
            entry_script=definition["configuration"].get("script"),
            max_files=self.max_files,
            max_bytes=self.max_bytes,
            collected=collected_folders(definition),
        )
        identity = self.identity(context)
        self.target, exists = attempts.current(client, identity, self.experiment_name)
        if exists:
            self.log.info("%s: adopted, an earlier try of this task has started it", self.target)
        else:
            if self.cancel_on_kill:
                attempts.cancel_former(client, identity, self.experiment_name)
            with bundle:
                self.refuse_if_killed(self.target)
                client.runs.start(self.experiment_name, bundle, definition, self.target.name)
        attempts.tag(client, identity, self.target)
        return self.target

    def accepted(self, target: Target) -> Result:
        """Return the run's id and experiment."""
        return {"run_id": target.name, "experiment_name": target.parent}

    def result(self, client: AzureMLClient, target: Target) -> Result:
        """Return the run's id, status, times and metrics."""
        from airflow_azml.facts import facts  # noqa: PLC0415 - not at parse time

        return facts(client, target)

    def policy(self) -> Policy:
        """Return how to wait: a run has a limit for its time in the queue and another for the time it runs."""
        from airflow_azml.client.lifecycle import Policy  # noqa: PLC0415 - not at parse time

        return Policy(
            self.poll_interval,
            self.execution_limit,
            queue_timeout=self.queue_timeout,
            run_timeout=self.timeout,
        )

    def _checked_definition(self, context: Context) -> dict[str, Any]:
        from airflow_azml.client.definitions import run_definition  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.names import check_compute_name  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - likewise

        field = "run_definition"
        definition = run_definition(self.definition(self.run_definition, context, field), field)
        configuration: dict[str, Any] = definition["configuration"]
        configuration["target"] = self.compute_name or configuration.get("target")
        if configuration["target"] is None:
            raise InputError("compute_name", rule="is required, here or as the run definition's target")
        check_compute_name(configuration["target"], f"{field}.configuration.target")
        if self.timeout is not None and self.cancel_on_kill:
            configuration.setdefault("maxRunDurationSeconds", math.ceil(self.timeout) + GRACE)
        return definition


class AzureMLCancelRunOperator(AzureMLBaseOperator):
    """Cancel a run and see it canceled; one that has ended is left as it is.

    :param run_id: the run.
    :param experiment_name: its experiment, if known: some older workspaces need it.
    """

    template_fields: Sequence[str] = (*AzureMLBaseOperator.template_fields, "run_id", "experiment_name")

    def __init__(self, *, run_id: str, experiment_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.experiment_name = experiment_name

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Cancel it."""
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.targets import cancel  # noqa: PLC0415 - likewise

        target = Target(Kind.RUN, self.run_id, parent=self.experiment_name or "")
        url = self.publish(context, target)
        return {"run_id": self.run_id, "status": cancel(client, target).status, "studio_url": url}
