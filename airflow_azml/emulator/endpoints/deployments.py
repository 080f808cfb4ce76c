"""Online deployments: each one serves a model from a process of its own.

Every beat looks at all deployments and moves each towards what its document says: bring up what is being created or
updated, bring up again what should serve and does not (also after a restart of the emulator), remove what is being
deleted. During an update the old process serves until the new one is ready, and goes on when the new one fails.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.endpoints import deployment_bodies
from airflow_azml.emulator.endpoints.fleet import Launch
from airflow_azml.emulator.endpoints.model import DEPLOYMENT
from airflow_azml.emulator.http import arm_resources, faults
from airflow_azml.emulator.http.wire import known_members, pick_object
from airflow_azml.emulator.kernel.operations import Failure
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.kernel.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
    from airflow_azml.emulator.endpoints.fleet import Fleet, LaunchError
    from airflow_azml.emulator.kernel.facts import Pace
    from airflow_azml.emulator.kernel.operations import Operations
    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.kernel.ticker import Steps

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
        self._ticker = Ticker(store, pace.tick, self._steps, "deployments")
        fleet.watchers.append(self._ticker.wake)

    def start(self) -> None:
        """Serve again what was served, take up what was under way."""
        self._fleet.start({_key(deployment) for deployment in self._store.all(DEPLOYMENT)})
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
            raise faults.missing("NoSuchDeployment", f"No deployment with name {name} was found.")
        return deployment

    def put(self, endpoint: str, name: str, body: dict[str, Any]) -> Document:
        """Create a deployment or replace it; return it."""
        given = deployment_bodies.read(name, body)
        with self._store.put_or_change(DEPLOYMENT, f"{endpoint}/{name}") as deployment:
            owner = self._endpoints.get(endpoint)
            if owner["state"] in {"Creating", "Deleting"}:
                raise faults.conflict("Conflict", f"Endpoint '{endpoint}' is {owner['state']}.")
            self._fleet.check(given["spec"])
            if not deployment:
                deployment.update(_created(owner["name"], name))
            _refuse_when_deleting(deployment)
            deployment.update(given, modified=arm_resources.now(), revision=deployment["revision"] + 1)
            self._begin(deployment, "Updating" if deployment["served"] else "Creating")
            return deployment

    def patch(self, endpoint: str, name: str, body: dict[str, Any]) -> Document:
        """Change tags and sku; what serves goes on serving."""
        given = known_members(body, "PartialMinimalTrackedResourceWithSku", ("tags", "sku"))
        with self._store.put_or_change(DEPLOYMENT, f"{endpoint}/{name}") as deployment:
            if not deployment:
                self.get(endpoint, name)  # raises
            _refuse_when_deleting(deployment)
            deployment["tags"] = arm_resources.merge_tags(deployment["tags"], pick_object(given, "tags"))
            deployment["sku"] = {**deployment["sku"], **pick_object(given, "sku")}
            deployment["modified"] = arm_resources.now()
            self._begin(deployment, "Updating" if deployment["served"] else "Creating")
            return deployment

    def delete(self, endpoint: str, name: str) -> Document | None:
        """Begin to delete a deployment without traffic; None when there is none."""
        with self._store.transaction():
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

    def _begin(self, deployment: Document, state: str) -> None:
        deployment["state"] = state
        self._operations.begin(DEPLOYMENT, _key(deployment), deployment, self._pace.endpoint)

    def _remove(self, key: str) -> Document | None:
        with suppress(AbsentError), self._store.change(DEPLOYMENT, key) as deployment:
            if deployment["state"] != "Deleting":
                self._begin(deployment, "Deleting")
            return deployment
        return None

    def _steps(self) -> Steps:
        for deployment in self._store.all(DEPLOYMENT):
            yield _key(deployment), partial(self._look, deployment)

    def _look(self, deployment: Document) -> None:
        owner = self._endpoints.find(deployment["endpoint"])
        if (owner is None or owner["state"] == "Deleting") and deployment["state"] != "Deleting":
            self._remove(_key(deployment))
        elif not self._fleet.busy(_key(deployment)):
            self._advance(deployment)

    def _advance(self, deployment: Document) -> None:
        key, change, served = _key(deployment), deployment["change"], deployment["served"]
        if change and not self._ticker.is_due(change["due"]):
            return
        if deployment["state"] == "Deleting":
            self._finish_removal(deployment)
        elif change and served and served["revision"] == deployment["revision"]:
            self._finish(key, change, served, None)  # nothing has changed of what serves
        elif change:
            self._launch(deployment, deployment["revision"], deployment["spec"])
        elif served and self._fleet.port(key) is None and self._ticker.is_due(self._retry_at.get(key, 0)):
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

        self._fleet.launch(Launch(key, revision, spec, wanted, done))

    def _finish(self, key: str, change: Document, launched: Document, error: LaunchError | None) -> None:
        outcome = {"state": "Failed"} if error else {"state": "Succeeded", "served": launched}
        failure = Failure(error.code, error.message) if error else None
        self._operations.finish(DEPLOYMENT, key, change, outcome, failure)

    def _finish_removal(self, deployment: Document) -> None:
        key = _key(deployment)
        self._fleet.remove(key)  # first: what is removed for good must not serve again, nor be found by its successor
        with self._store.transaction():
            self._endpoints.forget_traffic(deployment["endpoint"], deployment["name"])
            self._operations.finish(DEPLOYMENT, key, deployment["change"], None)


def _refuse_when_deleting(deployment: Document) -> None:
    if deployment["state"] == "Deleting":
        raise faults.conflict("Conflict", f"Deployment '{deployment['name']}' is being deleted.")


def _created(endpoint: str, name: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "name": name,
        "created": arm_resources.now(),
        "revision": 0,
        "served": None,
        "state": "Creating",
        "change": None,
    }


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
