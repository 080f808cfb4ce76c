"""Check the connection to a workspace step by step: which step fails, why, and what to do.

Every call makes these steps: a token, Resource Manager, the workspace, its discovery, its regional API, its model
registry. Each needs the one before, so the check ends at the first that fails. Then it checks the clock and the
permissions of the credential, each on its own. It changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_azml.client import api_versions
from airflow_azml.client.resources.artifact import ARTIFACT, ORIGIN
from airflow_azml.client.resources.metric import METRIC
from airflow_azml.client.resources.run import EXECUTION
from airflow_azml.client.transport.clouds import host_of
from airflow_azml.client.transport.errors import AzureMLError, ConnectionFailedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_azml.client.azureml import AzureMLClient

    Check = Callable[[AzureMLClient], str]

_MANY = 100
"""Subscriptions that are looked at."""
_SAME_TIME, _SKEW = 2, 300
"""Seconds between two clocks that mean nothing, and seconds from which tokens are refused."""
_NOBODY = "airflow-azml-doctor"
"""An experiment, and a run in it, that do not exist."""
_NO_RUN = (400, 404, 405, 409, 415, 422)
"""What the service answers to who may ask."""


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
    """Yield the hops as they are made, and after an open way what else was checked."""
    for name, check in _HOPS:
        step = _step(name, check, client)
        yield step
        if not step.ok:
            return
    for name, check in _CHECKS:
        yield _step(name, check, client)


def _step(name: str, check: Check, client: AzureMLClient) -> Step:
    started = time.monotonic()
    try:
        text = check(client)
    except AzureMLError as error:
        return Step.failed(name, error, _remedy(error), time.monotonic() - started)
    return Step(name, ok=True, text=text, seconds=time.monotonic() - started)


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


def _clock(client: AzureMLClient) -> str:
    before = time.time()
    url = f"{client.cloud.arm}{client.workspace.arm_path}"
    answer = client.transport.request("GET", url, operation="get workspace", params=api_versions.CLASSIC)
    here, there = (before + time.time()) / 2, _date_of(answer.headers.get("Date", ""))
    if there is None:
        return "the service does not tell the time"
    ahead = round(here - there)
    if abs(ahead) <= _SAME_TIME:
        return "this machine and the service agree on the time"
    found = f"this machine's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the service's"
    if abs(ahead) > _SKEW:
        raise AzureMLError(found, remedy="Set the clock of this machine (NTP): tokens would be refused as not valid.")
    return found


def _date_of(text: str) -> float | None:
    """Return the time of a Date header, which has whole seconds: half of one is added."""
    try:
        return parsedate_to_datetime(text).timestamp() + 0.5
    except ValueError:
        return None


def _may(operation: str, method: str, url: str, client: AzureMLClient, **options: Any) -> str:
    """Ask for something of a run that does not exist: who may not ask is refused before the run is looked for.

    The request that would submit a run is empty, so that it can submit none.
    """
    answer = client.transport.request(method, url, operation=operation, allow=_NO_RUN, **options)
    return f"allowed (HTTP {answer.status_code} for a run that does not exist)"


def _submit(client: AzureMLClient) -> str:
    url = client.runs.regional(EXECUTION, "experiments", _NOBODY, "startrun")
    return _may("submit a run", "POST", url, client, params={"runId": _NOBODY}, json={}, retry="never")


def _cancel(client: AzureMLClient) -> str:
    url = client.runs.regional(EXECUTION, "experiments", _NOBODY, "runId", _NOBODY, "cancel")
    return _may("cancel a run", "POST", url, client)


def _metrics(client: AzureMLClient) -> str:
    url = client.runs.regional(METRIC, "runs", _NOBODY, "list")
    return _may("list metrics", "POST", url, client, json={})


def _artifacts(client: AzureMLClient) -> str:
    url = client.runs.regional(ARTIFACT, "artifacts", ORIGIN, f"dcid.{_NOBODY}")
    return _may("list artifacts", "GET", url, client)


_HOPS: tuple[tuple[str, Check], ...] = (
    ("token", _token),
    ("Resource Manager", _resource_manager),
    ("workspace", _workspace),
    ("discovery", _discovery),
    ("regional API", _regional),
    ("models", _models),
)
_CHECKS: tuple[tuple[str, Check], ...] = (
    ("clock", _clock),
    ("submit", _submit),
    ("cancel", _cancel),
    ("metrics", _metrics),
    ("artifacts", _artifacts),
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
