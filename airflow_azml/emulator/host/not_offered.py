"""What Azure Machine Learning has and the emulator does not: which requests, and what to use instead.

A request without a route is answered 501; its message says what stands here. `airflow-azml emulator --routes` and
docs/emulator-fidelity.md list it. The paths are below the service's root, with `...` for the path of the workspace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

WORKSPACE = re.compile(r"subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/workspaces/[^/]+", re.IGNORECASE)
PROVIDER = "providers/Microsoft.MachineLearningServices"


@dataclass(frozen=True, slots=True)
class NotOffered:
    """Requests that the emulator has no route for.

    :param instead: what to use instead.
    :param paths: each with everything below it; `{}` is any one segment.
    :param verbs: their methods, as `PUT/DELETE`; all when empty.
    :param whole: nothing below the paths is meant.
    """

    instead: str
    paths: tuple[str, ...]
    verbs: str = ""
    whole: bool = False

    def has(self, method: str, path: str) -> bool:
        """Tell whether a request, its path shortened, is one of them."""
        meant = method in (self.verbs or method).split("/")
        return meant and any(_pattern(each, whole=self.whole).fullmatch(path) for each in self.paths)

    def requests(self) -> list[str]:
        """Return the requests as text."""
        return [f"{self.verbs} {path}".strip() + ("" if self.whole else "/...") for path in self.paths]


NOT_OFFERED = (
    NotOffered("runs by `startrun` or `snapshotrun`", (".../jobs", ".../components", ".../schedules")),
    NotOffered("online endpoints, or a run that scores", (".../batchEndpoints",)),
    NotOffered("`getLogs` and the deployment itself", (".../onlineEndpoints/{}/deployments/{}/skus",)),
    NotOffered("PUT of a version, which names it", (".../codes/{}", ".../environments/{}"), "PUT", whole=True),
    NotOffered("artifacts and blobs", (".../data", "dataset/v1.0", "datastore/v1.0")),
    NotOffered("the two datastores of the workspace", (".../datastores/{}",), "PUT/DELETE", whole=True),
    NotOffered("`listSecrets` of a datastore", (".../listStorageAccountKeys",)),
    NotOffered("AmlCompute and ComputeInstance, which have no keys", (".../computes/{}/listKeys",)),
    NotOffered("the workspace that is here", ("...",), "PUT/PATCH/DELETE", whole=True),
    NotOffered(
        "the workspace that is here: it has no network, notebooks, quotas and keys of its own",
        (
            ".../connections", ".../diagnose", ".../features", ".../listKeys", ".../listNotebookAccessToken",
            ".../listNotebookKeys", ".../outboundNetworkDependenciesEndpoints", ".../prepareNotebook",
            ".../privateEndpointConnections", ".../privateLinkResources", ".../resyncKeys", f"{PROVIDER}/operations",
            f"subscriptions/{{}}/{PROVIDER}/workspaces/skus",
            *(
                f"subscriptions/{{}}/{PROVIDER}/locations/{{}}/{name}"
                for name in ("usages", "vmSizes", "Quotas", "updateQuotas")
            ),
        ),
    ),
    NotOffered(
        "assets of the workspace",
        (f"subscriptions/{{}}/resourceGroups/{{}}/{PROVIDER}/registries", f"subscriptions/{{}}/{PROVIDER}/registries"),
    ),
    NotOffered(
        "online endpoints",
        (
            "modelmanagement/v1.0/.../services", "modelmanagement/v1.0/.../profiles", "modelmanagement/v1.0/.../images",
            "modelmanagement/v1.0/.../operations",
        ),
    ),
    NotOffered("metrics of the run that made the model", ("modelmanagement/v1.0/.../models/{}/metrics",)),
    NotOffered("dynamic task mapping: one run per trial", ("hyperdrive/v1.0",)),
    NotOffered(
        "`startrun` with a compute as target",
        tuple(
            f"execution/v1.0/.../experiments/{{}}/{name}"
            for name in ("localrun", "startlocalrun", "startprepare", "snapshotprepare", "checkprepare")
        ),
    ),
    NotOffered("Airflow", ("pipelines/v1.0",)),
    NotOffered("the definition in the run, or Resource Manager's environments", ("environment/v1.0",)),
    NotOffered("a snapshot of a folder", ("content/v2.0/.../snapshots/uri",)),
    NotOffered(
        "upload of each artifact by its path, and deletion of each",
        tuple(
            f"artifact/v2.0/.../artifacts/{rest}"
            for rest in (
                "metadata", "register", "storageuri/batch/metadata", "{}/{}/batch", "{}/{}/batch/metadata:delete",
                "{}/{}/batch/ingest/containersas",
            )
        ),
        "POST/DELETE",
        whole=True,
    ),
)  # fmt: skip


def instead_of(method: str, path: str) -> str:
    """Return what to use instead of a request; empty when nothing is known of it."""
    short = WORKSPACE.sub("...", path.strip("/"))
    return next((each.instead for each in NOT_OFFERED if each.has(method, short)), "")


@cache
def _pattern(path: str, *, whole: bool) -> re.Pattern[str]:
    tail = "" if whole else "(/.*)?"
    return re.compile(re.escape(path).replace(r"\{\}", "[^/]+") + tail, re.IGNORECASE)
