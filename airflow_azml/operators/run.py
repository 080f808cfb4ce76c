"""Runs: a project folder and a run definition, started on a compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_azml.operators.base import AzureMLBaseOperator, AzureMLWaitingOperator, Result
from airflow_azml.parameters import Seconds, limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLStartRunOperator(AzureMLWaitingOperator):
    """Start a training run from a project folder, and wait for it.

    There is exactly one run per attempt: its id is chosen before the request, so that the next try finds the same run
    when a worker dies or an answer is lost. A retry after a failed run starts a new run. Clearing the task also starts
    a new run, and cancels the old one if it is still active.

    API: `POST execution/v1.0/.../experiments/{experiment}/startrun` with a multipart zip, https://learn.microsoft.com/rest/api/azureml/

    Returns `run_id`, `experiment_name`, `status`, `started`, `ended`, `duration` (seconds), `metrics` and `studio_url`.
    Raises InputError for a value that is wrong, NotFoundError or InvalidRequestError when the service refuses the run,
    OperationFailedError when the run fails, TimeoutError when a limit is passed, NotOwnedError when its id belongs to
    another task's run.

    :param experiment_name: experiment of the run; made when absent.
    :param source_directory: project folder, relative to the DAG file; `.amlignore` (else `.gitignore`) is honoured.
    :param run_definition: what to run: a dict, or the path of a `.json` or `.yml` file beside the DAG (the whole
        definition, or only its `configuration`). Templates in the file are rendered before it is parsed: quote them in
        YAML (`DAY: "{{ ds }}"`), so that what they render to stays text. None when `command` says all.
    :param compute_name: runs on this compute: the definition's `target`. Where the definition says something else than
        this or one of the next three parameters, the task fails.
    :param command: the command line to run, instead of a script.
    :param arguments: of the script, a list.
    :param environment_variables: of the run, to add to those of the definition.
    :param tags: of the run, in addition to the tags that name its task.
    :param display_name: name of the run in studio.
    :param max_files: number of files at most: a folder with more is refused.
    :param max_bytes: refuse a larger folder, bytes before compression.
    :param queue_timeout: seconds after the submission, or after this try has adopted the run, within which it has to
        begin to run.
    :param run_timeout: seconds for which the run may run. The service is told too (`maxRunDurationSeconds`, five
        minutes more), so that the run ends even if no process of Airflow is left to cancel it.
    :param stream_logs: show what the run prints in the task's log while it runs.
    :param metrics: which of the run's metrics the result holds: all, none (False), or those of these names. Lists
        of values are cut to their last values, 10,000 of all lists together.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        *("experiment_name", "source_directory", "run_definition", "compute_name", "command", "arguments"),
        *("environment_variables", "tags", "display_name"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "run_definition": "json",
        "command": "bash",
        "arguments": "json",
        "environment_variables": "json",
        "tags": "json",
    }

    def __init__(
        self,
        *,
        experiment_name: str,
        source_directory: str,
        run_definition: dict[str, Any] | str | None = None,
        compute_name: str | None = None,
        command: str | None = None,
        arguments: list[str] | None = None,
        environment_variables: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        display_name: str | None = None,
        max_files: int = 2000,
        max_bytes: int = 300 * 1024 * 1024,
        queue_timeout: Seconds | None = None,
        run_timeout: Seconds | None = None,
        stream_logs: bool = True,
        metrics: bool | list[str] = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.experiment_name = experiment_name
        self.source_directory = source_directory
        self.run_definition = run_definition
        self.compute_name = compute_name
        self.command = command
        self.arguments = arguments
        self.environment_variables = environment_variables
        self.tags = tags
        self.display_name = display_name
        self.max_files = max_files
        self.max_bytes = max_bytes
        self.queue_timeout = limit("queue_timeout", queue_timeout)
        self.run_timeout = limit("run_timeout", run_timeout)
        self.stream_logs = stream_logs
        self.metrics = metrics

    def result_options(self) -> dict[str, Any]:
        """Return which metrics are wanted."""
        return {"metrics": self.metrics}

    def submit(self, task: Task) -> Target:
        """Adopt the run of this attempt, or start it."""
        return task.start_run(
            self.experiment_name,
            self.source_directory,
            self.run_definition,
            compute_name=self.compute_name,
            command=self.command,
            arguments=self.arguments,
            environment_variables=self.environment_variables,
            tags=self.tags,
            display_name=self.display_name,
            max_files=self.max_files,
            max_bytes=self.max_bytes,
            run_timeout=self.run_timeout,
        )


class AzureMLCancelRunOperator(AzureMLBaseOperator):
    """Cancel a run and see it canceled; one that has ended is left as it is.

    API: `POST` to the run's cancel address, https://learn.microsoft.com/rest/api/azureml/

    Returns `run_id`, `status` and `studio_url`. Raises InputError for a value that is wrong, ConflictError or
    InvalidRequestError when the service refuses to cancel a run that is active.

    :param run_id: the run.
    :param experiment_name: its experiment, if known: some older workspaces need it.
    """

    template_fields: Sequence[str] = (*AzureMLBaseOperator.template_fields, "run_id", "experiment_name")

    def __init__(self, *, run_id: str, experiment_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.experiment_name = experiment_name

    def act(self, task: Task) -> Result:
        """Cancel it."""
        target = task.target("runs", self.run_id, self.experiment_name or "")
        url = task.publish(target)
        seen = task.cancel(target, why="this task was asked to cancel it")
        return {"run_id": self.run_id, "status": seen.status, "studio_url": url}
