"""The files that a run has written, brought to where the next task needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.operators.base import AzureMLBaseOperator, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.history import Run


class AzureMLDownloadRunOutputsOperator(AzureMLBaseOperator):
    """Download a run's files to a folder of the worker, or to object storage; nothing is held in memory.

    Files that are there are replaced, so that a retry ends with the same files.

    :param run_id: the run, or v2 job.
    :param destination: absolute path of a folder, or the URL of an ObjectStoragePath such as `s3://conn_id@bucket/x`.
    :param artifact_path: only this file of the run, or the files below this folder; all of them when empty.
    :param experiment_name: its experiment, if known: some older workspaces need it.
    """

    template_fields: Sequence[str] = (
        *AzureMLBaseOperator.template_fields,
        "run_id",
        "destination",
        "artifact_path",
        "experiment_name",
    )

    def __init__(
        self,
        *,
        run_id: str,
        destination: str,
        artifact_path: str = "outputs",
        experiment_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.destination = destination
        self.artifact_path = artifact_path
        self.experiment_name = experiment_name

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Download them."""
        from airflow_azml.client.errors import InputError  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.workspace import run_page  # noqa: PLC0415 - likewise

        place = str(self.destination)
        if "://" not in place and not place.startswith("/"):
            raise InputError("destination", place, "must be an absolute path, or a URL such as s3://conn_id@bucket/x")
        run = client.runs.get(self.run_id, self.experiment_name)
        url = self.publish_page(context, run_page(run.id))
        files = list(self._to_url(client, run, place) if "://" in place else self._to_folder(client, run, place))
        if not files:
            raise InputError("artifact_path", self.artifact_path, f"is not in the files of run {run.id}")
        self.log.info("%d files of run %s are in %s", len(files), run.id, place)
        return {"run_id": run.id, "destination": place, "files": files, "studio_url": url}

    def _paths(self, client: AzureMLClient, run: Run) -> Iterator[str]:
        return (artifact.path for artifact in client.artifacts.list(run, self.artifact_path))

    def _to_folder(self, client: AzureMLClient, run: Run, folder: str) -> Iterator[str]:
        for path in self._paths(client, run):
            client.artifacts.download(run, path, folder)
            yield path

    def _to_url(self, client: AzureMLClient, run: Run, url: str) -> Iterator[str]:
        """Go by way of a temporary file: an object must appear whole, and a broken download is repeated."""
        import shutil  # noqa: PLC0415 - not at parse time
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - likewise

        from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - likewise

        for path in self._paths(client, run):
            with TemporaryDirectory() as folder:
                here, there = client.artifacts.download(run, path, folder), ObjectStoragePath(url) / path
                there.parent.mkdir(parents=True, exist_ok=True)
                with here.open("rb") as source, there.open("wb") as target:
                    shutil.copyfileobj(source, target)
            yield path
