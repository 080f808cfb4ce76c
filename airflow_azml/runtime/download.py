"""Files of a run, downloaded to a folder of the worker or to object storage."""

from __future__ import annotations

import shutil
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_azml.client.azureml import AzureMLClient

    Files = Iterator[tuple[str, Path]]


def download(
    client: AzureMLClient,
    run_id: str,
    destination: str,
    *,
    artifact_path: str,
    experiment_name: str | None,
    **limits: int | None,
) -> list[str]:
    """Download a run's files and return their paths in the run.

    :param destination: absolute path of a folder, or the URL of an ObjectStoragePath.
    :param artifact_path: a file, or a folder with all that is below it; everything when empty.
    :param limits: `max_bytes` and `max_files` of all together.
    """
    if "://" not in destination and not destination.startswith("/"):
        raise InputError("destination", destination, "must be an absolute path, or a URL such as s3://conn_id@bucket/x")
    run = client.runs.get(run_id, experiment_name)
    given: Any = {name: int(limit) for name, limit in limits.items() if limit is not None}

    def fetch(folder: str) -> Files:
        return client.artifacts.downloads(run, artifact_path, folder, **given)

    files = [path for path, _ in (_to_url(fetch, destination) if "://" in destination else fetch(destination))]
    if not files:
        raise InputError("artifact_path", artifact_path, f"is not in the files of run {run.id}")
    return files


def _to_url(fetch: Callable[[str], Files], url: str) -> Files:
    """Download to a temporary file first: an object must appear whole, and a broken download is repeated."""
    with TemporaryDirectory() as folder:
        for path, here in fetch(folder):
            there = ObjectStoragePath(url) / path
            there.parent.mkdir(parents=True, exist_ok=True)
            with here.open("rb") as source, there.open("wb") as target:
                shutil.copyfileobj(source, target)
            here.unlink()
            yield path, here
