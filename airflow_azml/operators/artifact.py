"""The files that a run has written, brought to where the next task needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.operators.base import AzureMLBaseOperator, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

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
    :param max_bytes: of all files together; the task fails when there are more. 50 GiB when None.
    :param max_files: likewise; 10,000 when None.
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

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Download them."""
        from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.workspace import run_page  # noqa: PLC0415 - likewise

        place = str(self.destination)
        if "://" not in place and not place.startswith("/"):
            raise InputError("destination", place, "must be an absolute path, or a URL such as s3://conn_id@bucket/x")
        run = client.runs.get(self.run_id, self.experiment_name)
        url = self.publish_page(context, run_page(run.id))
        bring = self._to_url if "://" in place else self._download
        files = [path for path, _ in bring(client, run, place)]
        if not files:
            raise InputError("artifact_path", self.artifact_path, f"is not in the files of run {run.id}")
        self.log.info("%d files of run %s are in %s", len(files), run.id, place)
        return {"run_id": run.id, "destination": place, "files": files, "studio_url": url}

    def _download(self, client: AzureMLClient, run: Run, folder: str) -> Iterator[tuple[str, Path]]:
        limits = {"max_bytes": self.max_bytes, "max_files": self.max_files}
        given = {name: int(limit) for name, limit in limits.items() if limit is not None}
        return client.artifacts.downloads(run, self.artifact_path, folder, **given)

    def _to_url(self, client: AzureMLClient, run: Run, url: str) -> Iterator[tuple[str, Path]]:
        """Go by way of a temporary file: an object must appear whole, and a broken download is repeated."""
        import shutil  # noqa: PLC0415 - not at parse time
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - likewise

        from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - likewise

        with TemporaryDirectory() as folder:
            for path, here in self._download(client, run, folder):
                there = ObjectStoragePath(url) / path
                there.parent.mkdir(parents=True, exist_ok=True)
                with here.open("rb") as source, there.open("wb") as target:
                    shutil.copyfileobj(source, target)
                here.unlink()
                yield path, here
