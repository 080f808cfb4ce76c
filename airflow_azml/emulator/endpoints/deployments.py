"""Online deployments: each one serves a model from a process of its own.

Every beat looks at all deployments and moves each towards what its document says: bring up what is being created or
updated, bring up again what should serve and does not (also after a restart of the emulator), remove what is being
deleted. During an update the old process serves until the new one is ready, and goes on when the new one fails.
A document's `revision` counts its updates; `served` is the revision, with its spec, that takes requests.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.endpoints import deployment_bodies
from airflow_azml.emulator.endpoints.engine import DEPLOYMENT, SUPERSEDED
from airflow_azml.emulator.http import arm_resources, faults
from airflow_azml.emulator.http.wire import known_members, pick_object
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.kernel.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
    from airflow_azml.emulator.endpoints.fleet import Fleet, LaunchError
    from airflow_azml.emulator.kernel.facts import Pace
    from airflow_azml.emulator.kernel.operations import Operations
    from airflow_azml.emulator.kernel.store import Document, Store

RETRY_SECONDS = 5  # before what died right after its start is started again


class OnlineDeployments:
    """The online deployments of the workspace.

    :param store: where they are kept.
    :param operations: the long-running operations that creating, changing and deleting them begins.
    :param endpoints: what they belong to.
    :param fleet: their processes.
    :param pace: how long things take.
    """

    def __init__(
        self, store: Store, operations: Operations, endpoints: OnlineEndpoints, fleet: Fleet, pace: Pace
    ) -> None:
        self._store, self._operations, self._endpoints, self._pace = store, operations, endpoints, pace
        self._fleet = fleet
        self._retry_at: dict[str, float] = {}
        self._requests: Counter[str] = Counter()  # touched by the event loop only
        self._ticker = Ticker(pace.tick, self._tick, "deployments")

    def start(self) -> None:
        """Serve again what was served, take up what was under way."""
        self._fleet.start()
        self._ticker.start()

    def stop(self) -> None:
        """End all serving processes; what was under way goes on at the next start."""
        self._ticker.stop()
        self._fleet.stop()

    # What the routes ask.

    def list(self, endpoint: str) -> list[Document]:
        """Return the deployments of an endpoint; the 404 of the service when there is no such endpoint."""
        self._endpoints.get(endpoint)
        return self._store.all(DEPLOYMENT, f"{endpoint}/")

    def get(self, endpoint: str, name: str) -> Document:
        """Return a deployment; the 404 of the service when there is none."""
        self._endpoints.get(endpoint)
        deployment = self._store.get(DEPLOYMENT, f"{endpoint}/{name}")
        if deployment is None:
            raise faults.not_found("Deployment", name)
        return deployment

    def put(self, endpoint: str, name: str, body: dict[str, Any]) -> tuple[Document, bool]:
        """Create a deployment or replace it; return it and whether it is new."""
        given = deployment_bodies.read(name, body)
        owner = self._endpoints.get(endpoint)
        if owner["state"] in {"Creating", "Deleting"}:
            raise faults.conflict("Conflict", f"Endpoint '{endpoint}' is {owner['state']}.")
        self._fleet.check(given["spec"])
        if self._store.get(DEPLOYMENT, f"{endpoint}/{name}") is None:
            return self._create(owner["name"], name, given), True
        with self._store.change(DEPLOYMENT, f"{endpoint}/{name}") as deployment:
            if deployment["state"] == "Deleting":
                raise faults.conflict("Conflict", f"Deployment '{name}' is being deleted.")
            deployment.update(given, modified=arm_resources.now(), revision=deployment["revision"] + 1)
            self._begin(deployment, "Updating" if deployment["served"] else "Creating")
            return deployment, False

    def patch(self, endpoint: str, name: str, body: dict[str, Any]) -> Document:
        """Change tags and sku; what serves goes on serving."""
        given = known_members(body, "PartialMinimalTrackedResourceWithSku", ("tags", "sku"))
        self.get(endpoint, name)
        with self._store.change(DEPLOYMENT, f"{endpoint}/{name}") as deployment:
            if deployment["state"] == "Deleting":
                raise faults.conflict("Conflict", f"Deployment '{name}' is being deleted.")
            deployment["tags"] = arm_resources.merge_tags(deployment["tags"], pick_object(given, "tags"))
            deployment["sku"] = {**deployment["sku"], **pick_object(given, "sku")}
            deployment["modified"] = arm_resources.now()
            self._begin(deployment, "Updating" if deployment["served"] else "Creating")
            return deployment

    def delete(self, endpoint: str, name: str) -> Document | None:
        """Begin to delete a deployment without traffic; None when there is none."""
        share = self._endpoints.traffic_of(endpoint, name)
        if share:
            message = f"Deployment '{name}' takes {share} per cent of the traffic of endpoint '{endpoint}'."
            raise faults.bad_request(f"{message} Set it to 0 before deleting the deployment.", target="traffic")
        return self._remove(f"{endpoint}/{name}")

    def logs(self, endpoint: str, name: str, lines: int) -> str:
        """Return the last lines that the deployment's newest revision wrote."""
        deployment = self.get(endpoint, name)
        return self._fleet.log_tail(_key(deployment), deployment["revision"], lines)

    def port(self, deployment: Document) -> int | None:
        """Return the port where the deployment answers; None while it does not."""
        return self._fleet.port(_key(deployment))

    @contextmanager
    def taking(self, deployment: Document) -> Iterator[bool]:
        """Count a request to a deployment while it is answered; tell whether the deployment takes it."""
        key = _key(deployment)
        taken = self._requests[key] < deployment_bodies.most_requests(deployment)
        self._requests[key] += taken
        try:
            yield taken
        finally:
            self._requests[key] -= taken

    def using(self, collection: str, name: str, version: str) -> Sequence[str]:
        """Return the deployments, as endpoint/deployment, made of a version of a model, environment or code."""
        wanted = (collection, name.casefold(), version.casefold())
        return [_key(deployment) for deployment in self._store.all(DEPLOYMENT) if wanted in _assets(deployment)]

    # The life of a deployment.

    def _create(self, endpoint: str, name: str, given: dict[str, Any]) -> Document:
        now = arm_resources.now()
        deployment: Document = {"endpoint": endpoint, "name": name, **given, "created": now, "modified": now}
        deployment |= {"revision": 1, "served": None, "change": None}
        self._begin(deployment, "Creating")
        if not self._store.add(DEPLOYMENT, _key(deployment), deployment):
            raise faults.conflict("Conflict", f"Deployment '{name}' is being created by another request.")
        return deployment

    def _begin(self, deployment: Document, state: str) -> None:
        if deployment["change"]:
            self._operations.fail(deployment["change"]["operation"], "OperationCanceled", SUPERSEDED, status="Canceled")
        deployment["state"] = state
        deployment["change"] = {"operation": self._operations.begin(), "due": time.time() + self._pace.endpoint}

    def _remove(self, key: str) -> Document | None:
        with suppress(AbsentError), self._store.change(DEPLOYMENT, key) as deployment:
            if deployment["state"] != "Deleting":
                self._begin(deployment, "Deleting")
            return deployment
        return None

    def _tick(self) -> None:
        for deployment in self._store.all(DEPLOYMENT):
            owner = self._endpoints.find(deployment["endpoint"])
            if owner and owner["state"] == "Deleting" and deployment["state"] != "Deleting":
                self._remove(_key(deployment))
            elif not self._fleet.busy(_key(deployment)):
                self._advance(deployment)

    def _advance(self, deployment: Document) -> None:
        key, change, served = _key(deployment), deployment["change"], deployment["served"]
        if change and change["due"] > time.time():
            return
        if deployment["state"] == "Deleting":
            self._finish_removal(deployment)
        elif change and served and served["revision"] == deployment["revision"]:
            self._finish(key, change, served, None)  # nothing has changed of what serves
        elif change:
            self._launch(deployment, deployment["revision"], deployment["spec"])
        elif served and self._fleet.port(key) is None and self._retry_at.get(key, 0) < time.time():
            self._retry_at[key] = time.time() + RETRY_SECONDS
            self._launch(deployment, served["revision"], served["spec"])

    def _launch(self, deployment: Document, revision: int, spec: dict[str, Any]) -> None:
        key, change = _key(deployment), deployment["change"]

        def wanted() -> bool:
            current = self._store.get(DEPLOYMENT, key)
            return current is not None and current["change"] == change

        def done(error: LaunchError | None) -> None:
            if change:
                self._finish(key, change, {"revision": revision, "spec": spec}, error)

        self._fleet.launch(key, revision, spec, wanted, done)

    def _finish(self, key: str, change: Document, launched: Document, error: LaunchError | None) -> None:
        with suppress(AbsentError), self._store.change(DEPLOYMENT, key) as deployment:
            if deployment["change"] != change:
                return  # another request has come in between: its own operation has begun
            deployment.update(state="Failed" if error else "Succeeded", change=None)
            if error:
                self._operations.fail(change["operation"], error.code, error.message)
            else:
                deployment["served"] = launched
                self._operations.succeed(change["operation"])

    def _finish_removal(self, deployment: Document) -> None:
        self._fleet.remove(_key(deployment))
        self._endpoints.forget_traffic(deployment["endpoint"], deployment["name"])
        self._store.delete(DEPLOYMENT, _key(deployment))
        self._operations.succeed(deployment["change"]["operation"])


def _key(deployment: Document) -> str:
    return f"{deployment['endpoint']}/{deployment['name']}".casefold()


def _assets(deployment: Document) -> set[tuple[str, str, str]]:
    """Return collection, name and version of everything that the present and the serving revision were made of."""
    found = set()
    for spec in (deployment["spec"], (deployment["served"] or deployment)["spec"]):
        references = {"models": spec["model"], "environments": spec["environmentId"]}
        references["codes"] = spec["codeConfiguration"]["codeId"]
        for collection, reference in references.items():
            if reference:
                name, version = arm_resources.parse_reference(reference, collection)
                found.add((collection, name.casefold(), version.casefold()))
    return found
