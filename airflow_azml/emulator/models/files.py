"""Where the files of a model are: v1 says it by assets of the artifact service, v2 by URIs.

Both lead to a container of the workspace's storage account and a path in it, which is a file or a folder. A model's own
tree begins with the last name of that path, as the service lays it out below AZUREML_MODEL_DIR.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage import datastores

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.emulator.storage.blobs import BlobStore

JOB_URI = re.compile(
    r"azureml://(?:.*/)?jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths)?(?:/(?P<path>.*))?", re.IGNORECASE
)
Location = tuple[str, str]


def of_artifact(prefix: str) -> Location:
    """Return where an artifact id (or a prefix of some) leads."""
    return facts.ARTIFACT_CONTAINER, prefix.strip("/")


def job_of(uri: str) -> str | None:
    """Return the job whose output a URI names, if it names one."""
    match = JOB_URI.fullmatch(uri)
    return match["job"] if match else None


def of_uri(uri: str) -> Location:
    """Return where a model URI leads; refuse one that leads out of the workspace."""
    match = JOB_URI.fullmatch(uri)
    if match is None:
        return datastores.locate(uri)
    if match["output"] not in {"artifacts", "default"}:
        raise bad_request(f"Job {match['job']} has no output named '{match['output']}'.", target="modelUri")
    return of_artifact(f"ExperimentRun/dcid.{match['job']}/{match['path'] or ''}")


def uri_of(location: Location, given: str) -> str:
    """Return the URI as the service answers it: by datastore where there is one for the container."""
    container, path = location
    names = [name for name, known in datastores.CONTAINERS.items() if known == container]
    if not names:
        return given
    workspace = f"resourcegroups/{facts.RESOURCE_GROUP}/workspaces/{facts.WORKSPACE}"
    return f"azureml://subscriptions/{facts.SUBSCRIPTION}/{workspace}/datastores/{names[0]}/paths/{path}"


def collect(blobs: BlobStore, location: Location) -> list[tuple[str, Path]]:
    """Return the files there, each with its path in the model's own tree."""
    container, path = location
    if path and (blob := blobs.find(container, path)):
        return [(blob.path.name, blob.path)]
    parent = path.rpartition("/")[0]
    found = blobs.list(container, f"{path}/" if path else "")
    return [(blob.name[len(parent) :].lstrip("/"), blob.path) for blob in found]
