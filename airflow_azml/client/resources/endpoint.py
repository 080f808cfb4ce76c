"""Managed online endpoints (v2): a scoring address whose traffic is shared among deployments.

https://learn.microsoft.com/rest/api/azureml/online-endpoints
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from airflow_azml.client import api_versions
from airflow_azml.client.lifecycle import Observation
from airflow_azml.client.names import check_deployment_name, check_endpoint_name
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.specs import az_ml
from airflow_azml.client.specs.arguments import with_arguments
from airflow_azml.client.transport.errors import AuthenticationError, InputError, ServiceError
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.plain_json import content_of
from airflow_azml.client.values import mapping, whole_number, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import Response

    from airflow_azml.client.lifecycle import Target

# https://learn.microsoft.com/azure/machine-learning/how-to-access-resources-from-endpoints-managed-identities
_FIXED = ("location", "identity")
_WHOLE = 100
S = TypeVar("S", bound="_Secrets")


class Endpoint(Value, frozen=True):
    """An online endpoint as the service describes it.

    :param auth_mode: Key, AMLToken or AADToken.
    :param provisioning_state: Creating, Updating, Deleting, Succeeded, Failed, Canceled.
    :param scoring_uri: where to score; empty while it is created.
    :param traffic: percent by deployment.
    """

    levels = 1
    name: str = ""
    location: str = ""
    auth_mode: str = ""
    provisioning_state: str = "Unknown"
    scoring_uri: str = ""
    traffic: Mapping[str, int] = {}
    tags: Mapping[str, str] = {}


class _Secrets(msgspec.Struct, frozen=True, rename="camel"):
    """Of an endpoint; shown by nothing."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class EndpointKeys(_Secrets, frozen=True):
    """The two keys of an endpoint; neither is shown by ``repr``."""

    primary: str = msgspec.field(default="", name="primaryKey")
    secondary: str = msgspec.field(default="", name="secondaryKey")


class EndpointToken(_Secrets, frozen=True):
    """A token of an endpoint, not shown by ``repr``.

    :param expires: Unix time.
    :param refresh_after: Unix time from which a new one should be asked for.
    """

    access_token: str = ""
    expires: int = msgspec.field(default=0, name="expiryTimeUtc")
    refresh_after: int = msgspec.field(default=0, name="refreshAfterTimeUtc")


class Endpoints(Resource):
    """Create, read, delete and score online endpoints."""

    kind = "endpoints"
    names = ("endpoint_name",)
    facts = ("scoring_uri", "traffic")

    def ensure(
        self, name: str, spec: Json | None = None, *, auth_mode: str | None = None, tags: Json | None = None
    ) -> Target:
        """Create an endpoint, or change what differs. What is not named stays as it is.

        A new endpoint has key authentication and an identity of its own, where the workspace is, unless the spec says
        otherwise.

        :param spec: the resource's JSON: ``properties``, ``identity``, ``tags``, ``location``.
        :param auth_mode: how callers authenticate: Key, AMLToken or AADToken.
        :param tags: to add or change.
        """
        az_ml.refuse(spec or {}, "spec", "the endpoint's JSON as the REST API has it: properties, identity, tags")
        url = self._url(name)
        named = {"auth_mode": ("properties.authMode", auth_mode), "tags": ("tags", tags)}
        wanted = with_texts(with_arguments(spec or {}, named))
        new = {"identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
        there = self.found(url)
        if there:  # its keys can be chosen only when it is created
            inner = {key: value for key, value in (wanted.get("properties") or {}).items() if key != "keys"}
            wanted = {**wanted, "properties": inner}
        return self.apply(self.target(name), url, there, wanted, new=new, fixed=_FIXED)

    def set_traffic(self, name: str, traffic: Mapping[str, Any]) -> Target:
        """Share the traffic out among deployments.

        :param traffic: percent by deployment; together 100, or 0 for none.
        """
        shares = read_traffic(traffic)
        # PATCH cannot: its body has tags and identity only.
        there, wanted = self.read(self._url(name)), {"properties": {"traffic": shares}}
        return self.apply(self.target(name), self._url(name), there, wanted, new={}, fixed=_FIXED)

    def get(self, name: str) -> Endpoint:
        """Return an endpoint; NotFoundError when there is none."""
        return Endpoint.of(self.read(self._url(name)))

    def list(self) -> Iterator[Endpoint]:
        """Yield all online endpoints of the workspace."""
        return map(Endpoint.of, self.rows(self.arm("onlineEndpoints")))

    def delete(self, name: str) -> Target:
        """Delete an endpoint and its deployments."""
        return self.deleted(self.target(name), self._url(name), api_versions.ASSETS)

    def keys(self, name: str) -> EndpointKeys:
        """Return the keys that scoring takes."""
        keys = self._secrets(name, "listKeys", "list endpoint keys", EndpointKeys)
        self.http.secret(keys.primary)
        self.http.secret(keys.secondary)
        return keys

    def token(self, name: str) -> EndpointToken:
        """Return a token that scoring takes at an endpoint with auth mode AMLToken."""
        token = self._secrets(name, "token", "get endpoint token", EndpointToken)
        self.http.secret(token.access_token)
        return token

    def regenerate_key(self, name: str, key: Literal["Primary", "Secondary"]) -> Target:
        """Make a new key, after which the old one opens nothing."""
        url = f"{self._url(name)}/regenerateKeys"
        response = self.http.request(
            "POST", url, operation="regenerate endpoint key", params=api_versions.ASSETS, json={"keyType": key}
        )
        return replace(self.target(name), operation=Operation.started_by(response))

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

    def observe(self, target: Target) -> Observation:
        """Return the state of its provisioning."""
        return Observation.of(self.statuses, self.get(target.name).provisioning_state)

    def page(self, target: Target) -> str:
        """Return the path of its page in Azure ML studio."""
        return endpoint_page(target.name)

    def result(self, target: Target) -> dict[str, Any]:
        """Return its name, state, scoring URI and traffic."""
        endpoint = self.get(target.name)
        return {
            "endpoint_name": endpoint.name,
            "provisioning_state": endpoint.provisioning_state,
            "scoring_uri": endpoint.scoring_uri,
            "traffic": dict(endpoint.traffic),
        }

    def _secrets(self, name: str, verb: str, operation: str, into: type[S]) -> S:
        url = f"{self._url(name)}/{verb}"
        answer: S = self.http.json(
            "POST", url, operation=operation, params=api_versions.ASSETS, retry="always", into=into
        )
        return answer

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


def endpoint_page(name: str) -> str:
    """Return the path of an online endpoint's page in studio; its deployments are on it."""
    return f"/endpoints/realtime/{quote(name, safe='')}/detail"


def read_traffic(traffic: Mapping[str, Any]) -> dict[str, int]:
    """Return shares as numbers; InputError unless they are percents that make a whole."""
    shares = {
        check_deployment_name(deployment, "traffic"): whole_number(f"traffic of {deployment}", share)
        for deployment, share in mapping("traffic", traffic).items()
    }
    if sum(shares.values()) not in {0, _WHOLE}:
        raise InputError("traffic", shares, "must be whole percents from 0 to 100 that add up to 100 (or to 0)")
    return shares
