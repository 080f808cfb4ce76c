"""Is the way to a workspace open, and if not: which hop fails, why, and what to do.

The hops are those of every call: a token, Resource Manager, the workspace, its discovery, its regional API, its model
registry. Each needs the one before, so the walk ends at the first that fails. Nothing is changed anywhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_azml.client.transport.clouds import host_of
from airflow_azml.client.transport.errors import AzureMLError, ConnectionFailedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_azml.client.azureml import AzureMLClient

_MANY = 100
"""Subscriptions that are looked at."""


@dataclass(frozen=True, slots=True)
class Step:
    """A hop.

    :param name: which.
    :param ok: whether it is open.
    :param text: what was found there, or why it is not open.
    :param remedy: what to do, when it is not open.
    :param seconds: how long it took.
    """

    name: str
    ok: bool
    text: str
    remedy: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" + (f" {self.remedy}" if self.remedy else "")

    @classmethod
    def failed(cls, name: str, error: AzureMLError, remedy: str = "", seconds: float = 0.0) -> Step:
        """Return the step that an error ended."""
        text = str(error).removesuffix(error.remedy).rstrip()
        return cls(name, ok=False, text=text, remedy=error.remedy or remedy, seconds=seconds)


def walk(client: AzureMLClient) -> Iterator[Step]:
    """Yield the hops as they are made, the last of them the one that failed, if one did."""
    for name, check in _HOPS:
        started = time.monotonic()
        try:
            text = check(client)
        except AzureMLError as error:
            yield Step.failed(name, error, _remedy(error), time.monotonic() - started)
            return
        yield Step(name, ok=True, text=text, seconds=time.monotonic() - started)


def _token(client: AzureMLClient) -> str:
    claims = _claims(client.transport.token(client.cloud.arm_scope))
    # Roles are assigned to the object id, and people keep giving the application's.
    who = [
        f"{label} {claims[name]}" for label, name in (("client id", "appid"), ("object id", "oid")) if name in claims
    ]
    return f"signed in at {host_of(client.cloud.login)}" + (f" as {', '.join(who)}" if who else "")


def _resource_manager(client: AzureMLClient) -> str:
    wanted = client.workspace.subscription_id.casefold()
    seen = list(islice(client.workspaces.subscriptions(), _MANY))
    mine = next((found for found in seen if found.id.casefold() == wanted), None)
    if mine is None and len(seen) < _MANY:
        others = ", ".join(found.id for found in seen[:5]) or "none"
        raise NotFoundError(
            f"the credential may not see subscription {client.workspace.subscription_id}; those it may see: {others}",
            remedy="Correct the subscription id, or give the credential a role on the workspace; that takes minutes.",
        )
    return f"{host_of(client.cloud.arm)}, subscription {mine.name or mine.id} is {mine.state}" if mine else "answers"


def _workspace(client: AzureMLClient) -> str:
    raw = client.routing.fetch()
    state = (raw.get("properties") or {}).get("provisioningState") or "there"
    return f"{client.workspace.name} in {raw.get('location')} is {state}"


def _discovery(client: AzureMLClient) -> str:
    regional = client.routing.regional  # first: it refuses a foreign address
    url = str((client.routing.fetch().get("properties") or {}).get("discoveryUrl") or "")
    # The client does without an answer here, by guessing; a doctor does not.
    client.transport.json("GET", url, operation="discover the regional host", auth=None)
    return f"{host_of(url)} names {host_of(regional)}"


def _regional(client: AzureMLClient) -> str:
    count = sum(1 for _ in islice(client.experiments.list(), _MANY))
    return f"the run history answers: {'at least ' if count == _MANY else ''}{count} experiments"


def _models(client: AzureMLClient) -> str:
    newest = next(iter(client.models.list()), None)
    return f"the {client.api} registry answers: " + (
        f"it has {newest.name}:{newest.version}" if newest else "no models"
    )


_HOPS: tuple[tuple[str, Callable[[AzureMLClient], str]], ...] = (
    ("token", _token),
    ("Resource Manager", _resource_manager),
    ("workspace", _workspace),
    ("discovery", _discovery),
    ("regional API", _regional),
    ("models", _models),
)


def _remedy(error: AzureMLError) -> str:
    if isinstance(error, ConnectionFailedError):
        host = host_of(error.url) or "the host"
        return f"Is {host} right, and can this machine reach it (DNS, firewall, HTTPS_PROXY, private endpoint)?"
    return "" if error.permanent else "This may pass: try again."


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says of itself, unverified; nothing when it is no JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
