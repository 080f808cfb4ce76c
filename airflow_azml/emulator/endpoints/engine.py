"""Online endpoints: their life, their keys and tokens, and how they split traffic over their deployments.

An endpoint does not serve anything by itself: the processes belong to deployments. Deleting an endpoint waits until
its deployments are gone.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.endpoints import endpoint_bodies
from airflow_azml.emulator.endpoints.model import DEPLOYMENT, ENDPOINT
from airflow_azml.emulator.http import arm_resources, faults
from airflow_azml.emulator.http.wire import known_members, pick_object, pick_text
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.kernel.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_azml.emulator.identity.provider import IdentityProvider
    from airflow_azml.emulator.kernel.facts import Pace
    from airflow_azml.emulator.kernel.operations import Operations
    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.kernel.ticker import Steps

AAD_AUDIENCE = "https://ml.azure.com"


class OnlineEndpoints:
    """The online endpoints of the workspace.

    :param store: where they are kept.
    :param operations: the long-running operations that creating, changing and deleting them begins.
    :param identity: signs and checks the tokens of endpoints with tokens.
    :param pace: how long things take.
    """

    def __init__(self, store: Store, operations: Operations, identity: IdentityProvider, pace: Pace) -> None:
        self._store, self._operations, self._identity, self._pace = store, operations, identity, pace
        self._ticker = Ticker(store, pace.tick, self._steps, "endpoints")

    def start(self) -> None:
        """Take up the changes that were under way."""
        self._ticker.start()

    def stop(self) -> None:
        """Stop; what was under way goes on at the next start."""
        self._ticker.stop()

    def list(self) -> list[Document]:
        """Return all endpoints, by name."""
        return self._store.all(ENDPOINT)

    def get(self, name: str) -> Document:
        """Return an endpoint; the 404 of the service when there is none."""
        endpoint = self.find(name)
        if endpoint is None:
            raise faults.missing("NoSuchEndpoint", f"No endpoint with name {name} was found.")
        return endpoint

    def find(self, name: str) -> Document | None:
        """Return an endpoint, or None."""
        return self._store.get(ENDPOINT, name)

    def put(self, name: str, body: dict[str, Any]) -> Document:
        """Create the endpoint or replace what it says; return it."""
        with self._store.put_or_change(ENDPOINT, name) as endpoint:
            given = endpoint_bodies.read(name, body, self._deployments(name))
            if not endpoint:
                endpoint.update(given, **_created(name))
            _refuse_when_deleting(endpoint)
            endpoint.update(given, modified=arm_resources.now())
            self._begin(endpoint, "Creating" if endpoint["state"] == "Creating" else "Updating")
            return endpoint

    def patch(self, name: str, body: dict[str, Any]) -> Document:
        """Change tags and identity; everything else stays as it is."""
        given = known_members(body, "PartialMinimalTrackedResourceWithIdentity", ("tags", "identity"))
        with self._changing(name) as endpoint:
            endpoint["tags"] = arm_resources.merge_tags(endpoint["tags"], pick_object(given, "tags"))
            endpoint["identityType"] = pick_text(given, "identity", "type", default=endpoint["identityType"])
            endpoint["modified"] = arm_resources.now()
            self._begin(endpoint, "Creating" if endpoint["state"] == "Creating" else "Updating")
            return endpoint

    def delete(self, name: str) -> Document | None:
        """Begin to delete the endpoint and its deployments; None when there is no such endpoint."""
        with suppress(AbsentError), self._store.change(ENDPOINT, name) as endpoint:
            if endpoint["state"] != "Deleting":
                self._begin(endpoint, "Deleting")
            return endpoint
        return None

    def traffic_of(self, name: str, deployment: str) -> int:
        """Return the per cent of the traffic that a deployment takes."""
        endpoint = self.find(name) or {"traffic": {}}
        return sum(share for taker, share in endpoint["traffic"].items() if taker.casefold() == deployment.casefold())

    def forget_traffic(self, name: str, deployment: str) -> None:
        """Take a deployment that is gone out of the traffic rule."""
        with suppress(AbsentError), self._store.change(ENDPOINT, name) as endpoint:
            endpoint["traffic"].pop(deployment, None)

    # Keys and tokens.

    def keys(self, name: str) -> dict[str, str]:
        """Return the keys of an endpoint with key authentication."""
        return dict(self._with_auth(name, "Key")["keys"])

    def regenerate_key(self, name: str, body: dict[str, Any]) -> Document:
        """Replace the primary or the secondary key by a given or a new one.

        azure-ai-ml gives the present key and expects a new one.
        """
        kind = pick_text(body, "keyType").casefold()
        if kind not in {"primary", "secondary"}:
            raise faults.bad_request("'keyType' must be Primary or Secondary.", target="keyType")
        given = pick_text(body, "keyValue", default="")
        self._with_auth(name, "Key")
        with self._changing(name) as endpoint:
            present = endpoint["keys"][f"{kind}Key"]
            endpoint["keys"][f"{kind}Key"] = _new_key() if given in {"", present} else given
            self._begin(endpoint, endpoint["state"])
            return endpoint

    def token(self, name: str, issuer: str) -> dict[str, Any]:
        """Issue a token for an endpoint with AML token authentication."""
        endpoint = self._with_auth(name, "AMLToken")
        token = self._identity.sign(issuer=issuer, tenant=facts.TENANT, audience=_audience(endpoint["name"]))
        expiry = int(time.time()) + 3599
        return {
            "accessToken": token,
            "tokenType": "Bearer",
            "expiryTimeUtc": expiry,
            "refreshAfterTimeUtc": expiry - 1800,
        }

    def admits(self, endpoint: Document, authorization: str) -> bool:
        """Tell whether an `Authorization` header opens the endpoint."""
        if endpoint["authMode"] == "Key":
            given = authorization.partition(" ")[2].strip().encode()
            return any(secrets.compare_digest(given, key.encode()) for key in endpoint["keys"].values())
        try:
            audience = self._identity.check(authorization)["aud"]
        except faults.Fault:
            return False
        wanted = AAD_AUDIENCE if endpoint["authMode"] == "AADToken" else _audience(endpoint["name"])
        return bool(audience.rstrip("/") == wanted)

    def _with_auth(self, name: str, mode: str) -> Document:
        endpoint = self.get(name)
        if endpoint["authMode"] != mode:
            raise faults.bad_request(f"Endpoint '{name}' has authMode {endpoint['authMode']}; this needs {mode}.")
        return endpoint

    # The life of an endpoint.

    @contextmanager
    def _changing(self, name: str) -> Iterator[Document]:
        with self._store.transaction():
            self.get(name)
            with self._store.change(ENDPOINT, name) as endpoint:
                _refuse_when_deleting(endpoint)
                yield endpoint

    def _deployments(self, name: str) -> Sequence[str]:
        return [deployment["name"] for deployment in self._store.all(DEPLOYMENT, f"{name}/")]

    def _begin(self, endpoint: Document, state: str) -> None:
        endpoint["state"] = state
        self._operations.begin(ENDPOINT, endpoint["name"], endpoint, self._pace.endpoint)

    def _steps(self) -> Steps:
        for endpoint in self.list():
            if endpoint["change"] and self._ticker.is_due(endpoint["change"]["due"]):
                yield endpoint["name"], partial(self._finish, endpoint)

    def _finish(self, endpoint: Document) -> None:
        name, deleting = endpoint["name"], endpoint["state"] == "Deleting"
        with self._store.transaction():
            if not (deleting and self._deployments(name)):  # they go first
                self._operations.finish(
                    ENDPOINT, name, endpoint["change"], None if deleting else {"state": "Succeeded"}
                )


def _created(name: str) -> dict[str, Any]:
    keys, now = {"primaryKey": _new_key(), "secondaryKey": _new_key()}, arm_resources.now()
    return {"name": name, "keys": keys, "created": now, "state": "Creating", "change": None}


def _refuse_when_deleting(endpoint: Document) -> None:
    if endpoint["state"] == "Deleting":
        raise faults.conflict("Conflict", f"Endpoint '{endpoint['name']}' is being deleted.")


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _audience(name: str) -> str:
    return arm_resources.resource_id(f"onlineEndpoints/{name}")
