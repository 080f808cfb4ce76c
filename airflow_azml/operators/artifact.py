"""The files that a run has written, brought to where the next task needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.operators.base import AzureMLBaseOperator, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.runtime.task import Task


class AzureMLDownloadRunOutputsOperator(AzureMLBaseOperator):
    """Download a run's files to a folder of the worker, or to object storage; nothing is held in memory.

    Files that are there are replaced, so that a retry ends with the same files.

    API: `GET artifact/v2.0/.../artifacts/...`, https://learn.microsoft.com/rest/api/azureml/

    Returns `run_id`, `destination`, `files` and `studio_url`. Raises InputError when there is no such file or when a
    limit is passed, NotFoundError when there is no such run or when it has no outputs.

    :param run_id: the run, or v2 job.
    :param destination: absolute path of a folder, or the URL of an ObjectStoragePath such as `s3://conn_id@bucket/x`.
    :param artifact_path: only this file of the run, or the files below this folder; all of them when empty.
    :param experiment_name: its experiment, if known: some older workspaces need it.
    :param max_bytes: bytes of all files together; the task fails when there are more. 50 GiB when None.
    :param max_files: number of all files together, likewise; 10,000 when None.
    """

    template_fields: Sequence[str] = (
        *AzureMLBaseOperator.template_fields,
        *("run_id", "destination", "artifact_path", "experiment_name"),
    )

    def __init__(
        self,
        *,
        run_id: str,
        destination: str,
        artifact_path: str = "outputs",
        experiment_name: str | None = None,
        max_bytes: int | None = None,
        max_files: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.destination = destination
        self.artifact_path = artifact_path
        self.experiment_name = experiment_name
        self.max_bytes = max_bytes
        self.max_files = max_files

    def act(self, task: Task) -> Result:
        """Download them."""
        return task.download(
            self.run_id,
            str(self.destination),
            artifact_path=self.artifact_path,
            experiment_name=self.experiment_name,
            max_bytes=self.max_bytes,
            max_files=self.max_files,
        )
