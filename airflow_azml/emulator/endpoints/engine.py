"""Online endpoints: their life, their keys and tokens, and how they split traffic over their deployments.

An endpoint does not serve anything by itself: the processes belong to deployments. Deleting an endpoint waits until
its deployments are gone.
"""

from __future__ import annotations

import re
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import addresses, arm_resources, faults
from airflow_azml.emulator.http.regions import read_location
from airflow_azml.emulator.http.wire import known_members, pick, pick_object, pick_text, pick_texts
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.kernel.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from airflow_azml.emulator.identity.provider import IdentityProvider
    from airflow_azml.emulator.kernel.facts import Pace
    from airflow_azml.emulator.kernel.operations import Operations
    from airflow_azml.emulator.kernel.store import Document, Store

KIND, DEPLOYMENT = "endpoint", "deployment"
NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]")
AUTH_MODES = {mode.casefold(): mode for mode in ("Key", "AMLToken", "AADToken")}
AAD_AUDIENCE = "https://ml.azure.com"
FULL = 100  # per cent
TRAFFIC_SUMS, MIRROR_SUMS = (0, FULL), range(FULL // 2 + 1)
PROPERTIES = (
    "authMode", "compute", "description", "keys", "mirrorTraffic", "properties", "provisioningState",
    "publicNetworkAccess", "scoringUri", "swaggerUri", "traffic",
)  # fmt: skip
SUPERSEDED = "The operation was canceled by another operation that has a higher priority."


class OnlineEndpoints:
    """The online endpoints of the workspace.

    :param store: where they are kept.
    :param operations: the long-running operations that creating, changing and deleting them begins.
    :param identity: signs and checks the tokens of endpoints with tokens.
    :param pace: how long things take.
    """

    def __init__(self, store: Store, operations: Operations, identity: IdentityProvider, pace: Pace) -> None:
        self._store, self._operations, self._identity, self._pace = store, operations, identity, pace
        self._ticker = Ticker(pace.tick, self._tick, "endpoints")

    def start(self) -> None:
        """Take up the changes that were under way."""
        self._ticker.start()

    def stop(self) -> None:
        """Stop; what was under way goes on at the next start."""
        self._ticker.stop()

    def list(self) -> list[Document]:
        """Return all endpoints, by name."""
        return self._store.all(KIND)

    def get(self, name: str) -> Document:
        """Return an endpoint; the 404 of the service when there is none."""
        endpoint = self.find(name)
        if endpoint is None:
            raise faults.not_found("Endpoint", name)
        return endpoint

    def find(self, name: str) -> Document | None:
        """Return an endpoint, or None."""
        return self._store.get(KIND, name)

    def put(self, name: str, body: dict[str, Any]) -> tuple[Document, bool]:
        """Create the endpoint or replace what it says; return it and whether it is new."""
        spec = self._read(name, body)
        if self.find(name) is None:
            return self._create(name, spec), True
        with self._changing(name) as endpoint:
            endpoint.update(spec, modified=arm_resources.now())
            self._begin(endpoint, "Creating" if endpoint["state"] == "Creating" else "Updating")
            return endpoint, False

    def patch(self, name: str, body: dict[str, Any]) -> Document:
        """Change tags and identity; everything else stays as it is."""
        given = known_members(body, "PartialMinimalTrackedResourceWithIdentity", ("tags", "identity"))
        self.get(name)
        with self._changing(name) as endpoint:
            endpoint["tags"] = arm_resources.merge_tags(endpoint["tags"], pick_object(given, "tags"))
            endpoint["identityType"] = pick_text(given, "identity", "type", default=endpoint["identityType"])
            endpoint["modified"] = arm_resources.now()
            self._begin(endpoint, "Creating" if endpoint["state"] == "Creating" else "Updating")
            return endpoint

    def delete(self, name: str) -> Document | None:
        """Begin to delete the endpoint and its deployments; None when there is no such endpoint."""
        try:
            with self._store.change(KIND, name) as endpoint:
                if endpoint["state"] != "Deleting":
                    self._begin(endpoint, "Deleting")
                return endpoint
        except AbsentError:
            return None

    def traffic_of(self, name: str, deployment: str) -> int:
        """Return the per cent of the traffic that a deployment takes."""
        endpoint = self.find(name) or {"traffic": {}}
        return sum(share for taker, share in endpoint["traffic"].items() if taker.casefold() == deployment.casefold())

    def forget_traffic(self, name: str, deployment: str) -> None:
        """Take a deployment that is gone out of the traffic rule."""
        with suppress(AbsentError), self._store.change(KIND, name) as endpoint:
            endpoint["traffic"].pop(deployment, None)

    # Keys and tokens.

    def keys(self, name: str) -> dict[str, str]:
        """Return the keys of an endpoint with key authentication."""
        return dict(self._with_auth(name, "Key")["keys"])

    def regenerate_key(self, name: str, body: dict[str, Any]) -> Document:
        """Replace the primary or the secondary key by a given or a new one.

        azure-ai-ml gives the present key and expects a new one.
        """
        present = self._with_auth(name, "Key")["keys"]
        kind = pick_text(body, "keyType").casefold()
        if kind not in {"primary", "secondary"}:
            raise faults.bad_request("'keyType' must be Primary or Secondary.", target="keyType")
        given = pick_text(body, "keyValue", default="")
        with self._changing(name) as endpoint:
            endpoint["keys"][f"{kind}Key"] = _new_key() if given in {"", present[f"{kind}Key"]} else given
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

    def _read(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if not NAME.fullmatch(name):
            message = (
                f"Endpoint name '{name}' must be 3 to 32 letters, digits and '-', begin with a letter, not end in '-'."
            )
            raise faults.bad_request(message, target="name")
        tracked = known_members(body, "OnlineEndpointTrackedResource", arm_resources.TRACKED)
        properties = known_members(pick_object(body, "properties"), "OnlineEndpoint", PROPERTIES)
        auth_mode = AUTH_MODES.get(pick_text(properties, "authMode").casefold())
        if auth_mode is None:
            raise faults.bad_request("'authMode' must be Key, AMLToken or AADToken.", target="authMode")
        return {
            "location": read_location(tracked, "onlineEndpoints"),
            "tags": pick_texts(tracked, "tags"),
            "identityType": pick_text(tracked, "identity", "type", default="SystemAssigned"),
            "authMode": auth_mode,
            "description": pick(properties, "description"),
            "properties": pick_texts(properties, "properties"),
            "publicNetworkAccess": pick_text(properties, "publicNetworkAccess", default="Enabled"),
            "mirrorTraffic": self._shares(name, properties, "mirrorTraffic", MIRROR_SUMS),
            "traffic": self._shares(name, properties, "traffic", TRAFFIC_SUMS),
        }

    def _shares(self, name: str, properties: dict[str, Any], member: str, sums: Container[int]) -> dict[str, int]:
        given = pick_object(properties, member)
        names = [deployment["name"] for deployment in self._store.all(DEPLOYMENT, f"{name}/")]
        canonical = {known.casefold(): known for known in names}
        for deployment, share in given.items():
            if type(share) is not int or not 0 <= share <= FULL:
                raise faults.bad_request(f"Traffic of '{deployment}' must be a whole number from 0 to 100.")
            if deployment.casefold() not in canonical:
                message = f"Traffic names deployment '{deployment}', which endpoint '{name}' does not have."
                raise faults.bad_request(message, target="traffic")
        traffic = {canonical[deployment.casefold()]: share for deployment, share in given.items()}
        if sum(traffic.values()) not in sums:
            raise faults.bad_request(
                f"The sum of {member} must not be {sum(traffic.values())} per cent.", target=member
            )
        return traffic

    @contextmanager
    def _changing(self, name: str) -> Iterator[Document]:
        self.get(name)
        with self._store.change(KIND, name) as endpoint:
            if endpoint["state"] == "Deleting":
                raise faults.conflict("Conflict", f"Endpoint '{name}' is being deleted.")
            yield endpoint

    def _create(self, name: str, spec: dict[str, Any]) -> Document:
        keys = {"primaryKey": _new_key(), "secondaryKey": _new_key()}
        now = arm_resources.now()
        endpoint: Document = {"name": name, **spec, "keys": keys, "created": now, "modified": now, "change": None}
        self._begin(endpoint, "Creating")
        if not self._store.add(KIND, name, endpoint):
            raise faults.conflict("Conflict", f"Endpoint '{name}' is being created by another request.")
        return endpoint

    def _begin(self, endpoint: Document, state: str) -> None:
        if endpoint["change"]:
            self._operations.fail(endpoint["change"]["operation"], "OperationCanceled", SUPERSEDED, status="Canceled")
        endpoint["state"] = state
        endpoint["change"] = {"operation": self._operations.begin(), "due": time.time() + self._pace.endpoint}

    def _tick(self) -> None:
        for endpoint in self.list():
            if endpoint["change"] and endpoint["change"]["due"] <= time.time():
                self._finish(endpoint["name"])

    def _finish(self, name: str) -> None:
        with suppress(AbsentError), self._store.change(KIND, name) as endpoint:
            operation_id, deleting = endpoint["change"]["operation"], endpoint["state"] == "Deleting"
            if deleting and self._store.all(DEPLOYMENT, f"{name}/"):
                return  # its deployments go first
            endpoint.update(state="Succeeded", change=None)
        if deleting:
            self._store.delete(KIND, name)
        self._operations.succeed(operation_id)


def render(endpoint: Document, base: str) -> dict[str, Any]:
    """Render an endpoint; it has no scoring URI before it is created."""
    path = f"onlineEndpoints/{endpoint['name']}"
    scoring = None if endpoint["state"] == "Creating" else addresses.scoring(base, endpoint["name"])
    properties = {
        "authMode": endpoint["authMode"],
        "compute": None,
        "description": endpoint["description"],
        "keys": None,
        "mirrorTraffic": endpoint["mirrorTraffic"],
        "properties": {"azureml.onlineendpointid": arm_resources.resource_id(path).lower(), **endpoint["properties"]},
        "provisioningState": endpoint["state"],
        "publicNetworkAccess": endpoint["publicNetworkAccess"],
        "scoringUri": scoring and f"{scoring}/score",
        "swaggerUri": scoring and f"{scoring}/swagger.json",
        "traffic": endpoint["traffic"],
    }
    identity = {"type": endpoint["identityType"], "principalId": facts.WORKSPACE_ID, "tenantId": facts.TENANT}
    return arm_resources.render(
        path,
        endpoint,
        properties,
        location=endpoint["location"],
        tags=endpoint["tags"],
        kind="Managed",
        identity=identity,
    )


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _audience(name: str) -> str:
    return arm_resources.resource_id(f"onlineEndpoints/{name}")
