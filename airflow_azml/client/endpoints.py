"""Managed online endpoints (v2): a scoring address whose traffic is shared among deployments.

https://learn.microsoft.com/rest/api/azureml/online-endpoints
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.client import versions
from airflow_azml.client.lifecycle import Kind, Phase, phase_of
from airflow_azml.client.merging import change, merged
from airflow_azml.client.names import check_deployment_name, check_endpoint_name
from airflow_azml.client.service import Service
from airflow_azml.client.transport.errors import AuthenticationError, InputError, NotFoundError, ServiceError
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.plain_json import content_of
from airflow_azml.client.values import mapping, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests import Response

# https://learn.microsoft.com/azure/machine-learning/how-to-access-resources-from-endpoints-managed-identities
_FIXED = ("location", "identity")
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An online endpoint as the service describes it.

    :param auth_mode: Key, AMLToken or AADToken.
    :param provisioning_state: Creating, Updating, Deleting, Succeeded, Failed, Canceled.
    :param scoring_uri: where to score; empty while it is created.
    :param traffic: percent by deployment.
    :param operation: of the PUT or DELETE that has just been sent, else None.
    :param raw: the answer's JSON.
    """

    name: str
    location: str
    auth_mode: str
    provisioning_state: str
    scoring_uri: str
    traffic: Mapping[str, int]
    tags: Mapping[str, str]
    raw: Mapping[str, Any]
    operation: Operation | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any], operation: Operation | None = None) -> Endpoint:
        """Read the service's JSON."""
        inner: Mapping[str, Any] = raw.get("properties") or {}
        return cls(
            name=str(raw.get("name") or ""),
            location=str(raw.get("location") or ""),
            auth_mode=str(inner.get("authMode") or ""),
            provisioning_state=str(inner.get("provisioningState") or "Unknown"),
            scoring_uri=str(inner.get("scoringUri") or ""),
            traffic=inner.get("traffic") or {},
            tags=raw.get("tags") or {},
            raw=raw,
            operation=operation,
        )


@dataclass(frozen=True, slots=True)
class EndpointKeys:
    """The two keys of an endpoint; neither is shown by ``repr``."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointToken:
    """A token of an endpoint, not shown by ``repr``.

    :param expires: Unix time.
    :param refresh_after: Unix time from which a new one should be asked for.
    """

    access_token: str = field(repr=False)
    expires: int
    refresh_after: int


class Endpoints(Service):
    """Create, read, delete and score online endpoints."""

    def ensure(self, name: str, spec: Mapping[str, Any] | None = None) -> Endpoint:
        """Create an endpoint, or change what differs from the spec; return it as it is now, maybe still on its way.

        :param spec: the resource's JSON: ``properties``, ``identity``, ``tags``, ``location``. What it does not name
            stays as it is; a new endpoint has key authentication and an identity of its own, where the workspace is.
        """
        wanted = with_texts(spec or {})
        try:
            there = self.get(name)
        except NotFoundError:
            new = {"identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
            body = merged({"location": self.routing.location, **new}, wanted)
            return self._put(name, body, "create endpoint")
        return self._update(there, wanted, "update endpoint")

    def get(self, name: str) -> Endpoint:
        """Return an endpoint; NotFoundError when there is none."""
        return Endpoint.parse(self.http.json("GET", self._url(name), operation="get endpoint", params=versions.ASSETS))

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> Endpoint:
        """Share the traffic out among deployments.

        :param traffic: percent by deployment; together 100, or 0 for none.
        """
        check_traffic(traffic)
        # PATCH cannot: its body has tags and identity only.
        return self._update(self.get(name), {"properties": {"traffic": dict(traffic)}}, "set traffic")

    def delete(self, name: str) -> Operation | None:
        """Delete an endpoint and its deployments; None when there was none."""
        response = self.http.request(
            "DELETE", self._url(name), operation="delete endpoint", params=versions.ASSETS, allow=(404,)
        )
        return None if response.status_code in {204, 404} else Operation.started_by(response)

    def keys(self, name: str) -> EndpointKeys:
        """Return the keys that scoring takes."""
        url = f"{self._url(name)}/listKeys"
        answer = self.http.json("POST", url, operation="list endpoint keys", params=versions.ASSETS, retry="always")
        keys = EndpointKeys(str(answer.get("primaryKey") or ""), str(answer.get("secondaryKey") or ""))
        self.http.secret(keys.primary)
        self.http.secret(keys.secondary)
        return keys

    def token(self, name: str) -> EndpointToken:
        """Return a token that scoring takes at an endpoint with auth mode AMLToken."""
        url = f"{self._url(name)}/token"
        answer = self.http.json("POST", url, operation="get endpoint token", params=versions.ASSETS, retry="always")
        token = EndpointToken(
            str(answer.get("accessToken") or ""),
            int(answer.get("expiryTimeUtc") or 0),
            int(answer.get("refreshAfterTimeUtc") or 0),
        )
        self.http.secret(token.access_token)
        return token

    def regenerate_key(self, name: str, key: Literal["Primary", "Secondary"]) -> Operation:
        """Make a new key, after which the old one opens nothing."""
        url = f"{self._url(name)}/regenerateKeys"
        response = self.http.request(
            "POST", url, operation="regenerate endpoint key", params=versions.ASSETS, json={"keyType": key}
        )
        return Operation.started_by(response)

    def score(self, name: str, payload: Any, *, deployment: str | None = None, timeout: float = 90) -> Any:
        """Send a request to the model and return its answer: JSON, text, or base64 with its content type.

        :param payload: what the model takes, as JSON.
        :param deployment: this one, whatever the traffic says.
        :param timeout: seconds; the service itself ends a request after 90.
        """
        endpoint = self.get(name)
        if not endpoint.scoring_uri:
            raise ServiceError(
                f"the endpoint has no scoring address yet (it is {endpoint.provisioning_state})", operation="score"
            )
        key = self._credential(endpoint)
        try:
            response = self._score(endpoint.scoring_uri, key, payload, deployment, timeout)
        except AuthenticationError as error:
            fresh = self._credential(endpoint, rejected=key)  # keys may have been regenerated, tokens have expired
            if fresh == key:
                error.remedy = "The endpoint did not accept its own primary key."
                raise
            response = self._score(endpoint.scoring_uri, fresh, payload, deployment, timeout)
        return content_of(response)

    def list(self) -> Iterator[Endpoint]:
        """Yield all online endpoints of the workspace."""
        rows = self.http.pages("GET", self.arm("onlineEndpoints"), operation="list endpoints", params=versions.ASSETS)
        return (Endpoint.parse(row) for row in rows)

    def _credential(self, endpoint: Endpoint, rejected: str | None = None) -> str:
        """Return what the endpoint's auth mode asks for; an Entra token is one for Azure ML, never one for ARM."""
        mode = endpoint.auth_mode.casefold()
        if mode == "aadtoken":
            return self.http.token(self.http.cloud.ml_scope, rejected=rejected)
        return self.token(endpoint.name).access_token if mode == "amltoken" else self.keys(endpoint.name).primary

    def _score(self, url: str, key: str, payload: Any, deployment: str | None, timeout: float) -> Response:
        headers = {"Authorization": f"Bearer {key}", **({"azureml-model-deployment": deployment} if deployment else {})}
        return self.http.request(
            "POST", url, operation="score", json=payload, headers=headers, auth=None, timeout=(10, timeout)
        )

    def _url(self, name: str) -> str:
        return self.arm("onlineEndpoints", check_endpoint_name(name))

    def _update(self, there: Endpoint, wanted: Mapping[str, Any], operation: str) -> Endpoint:
        """Put the endpoint with what is wanted, if anything differs or it has failed; keys are for new ones only."""
        inner = {key: value for key, value in (wanted.get("properties") or {}).items() if key != "keys"}
        broken = phase_of(Kind.ENDPOINT, there.provisioning_state) in {Phase.FAILED, Phase.CANCELED}
        what = f"endpoint {there.name}"
        body = change(there.raw, {**wanted, "properties": inner}, what=what, fixed=_FIXED, again=broken)
        return self._put(there.name, body, operation) if body else there

    def _put(self, name: str, body: Mapping[str, Any], operation: str) -> Endpoint:
        response = self.http.request("PUT", self._url(name), operation=operation, params=versions.ASSETS, json=body)
        return Endpoint.parse(response.json(), Operation.started_by(response))


def check_traffic(traffic: Mapping[str, int]) -> None:
    """Raise InputError unless the shares are percents that make a whole."""
    for deployment in mapping("traffic", traffic):
        check_deployment_name(deployment, "traffic")
    shares = list(traffic.values())
    if any(not isinstance(share, int) or not 0 <= share <= _WHOLE for share in shares) or sum(shares) not in {
        0,
        _WHOLE,
    }:
        raise InputError("traffic", dict(traffic), "must be whole percents from 0 to 100 that add up to 100 (or to 0)")
