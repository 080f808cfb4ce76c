"""The one workspace that the emulator holds, and how long things take in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "00000000-0000-0000-0000-000000000001"
RESOURCE_GROUP = "local"
WORKSPACE = "local"
WORKSPACE_ID = "00000000-0000-0000-0000-000000000002"
CLIENT_ID = "local"  # of the one application that may call
LOCATION = "eastus"
STORAGE_ACCOUNT = "azuremllocal"
STORAGE_KEY = "bG9jYWwtZW11bGF0b3Itc3RvcmFnZS1hY2NvdW50LWtleQ=="  # published, like Azurite's: it guards nothing
ARTIFACT_CONTAINER = "azureml"  # what the service's datastore workspaceartifactstore points to
BLOBSTORE_CONTAINER = f"azureml-blobstore-{WORKSPACE_ID}"  # workspaceblobstore

WORKSPACE_PATH = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)


@dataclass(slots=True)
class Pace:
    """How long the emulated service takes, in seconds; the engines of an emulator share one and look at it each time.

    :param tick: shortest time between two looks of an engine at its work, and time between two at a process.
    :param retry_after: the value of `Retry-After` on long-running operations; the service sends none.
    :param compute: to create, update or delete a compute.
    :param node: for a node to join a cluster.
    :param endpoint: to create, update or delete an endpoint.
    """

    tick: float
    retry_after: int | None
    compute: float
    node: float
    endpoint: float
    watchers: list[Callable[[], object]] = field(init=False, repr=False, compare=False, default_factory=list)
    """Called after each change."""

    def change(self, **seconds: float | None) -> None:
        """Take other times from now on."""
        for name, value in seconds.items():
            setattr(self, name, value)
        for watcher in self.watchers:
            watcher()


PACES = {
    "fast": Pace(tick=0.05, retry_after=1, compute=1.0, node=1.0, endpoint=0.5),
    "real": Pace(tick=1.0, retry_after=None, compute=10.0, node=60.0, endpoint=60.0),
}
