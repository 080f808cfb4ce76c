"""Where bearer tokens come from.

A :class:`TokenSource` is asked before every request and answers from its cache; it fetches early, before a token has
expired, and one refresh serves all threads. A failed fetch says what the token endpoint said.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from airflow_azml.client.clouds import is_safe
from airflow_azml.client.errors import AuthenticationError, InputError, ServiceError

if TYPE_CHECKING:
    from airflow_azml.client.clouds import Cloud

# What people do about the commonest reasons of Entra ID:
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_REMEDIES = {
    "AADSTS7000215": "The client secret is wrong: give the secret's value, not its id.",
    "AADSTS7000222": "The client secret has expired: make a new one.",
    "AADSTS700016": "The client id is not known in this tenant.",
    "AADSTS90002": "The tenant does not exist: check the tenant id and the cloud.",
}
# OAuth's own words (RFC 6749, 4.1.2.1) for "try again".
_PASSING = frozenset({"temporarily_unavailable", "server_error"})


class TokenSource(Protocol):
    """Anything that hands out bearer tokens."""

    def token(self, scope: str, *, rejected: str | None = None) -> str:
        """Return a token for the scope.

        :param rejected: a token that the service has just answered 401 to: fetch anew unless another thread already
            has.
        """
        ...


class StaticToken:
    """One token that somebody else got, such as ``az account get-access-token``. It cannot be refreshed."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self, scope: str, *, rejected: str | None = None) -> str:  # noqa: ARG002 - one token for every scope
        """Return the token, or say that it has been rejected."""
        if rejected == self._token:
            raise AuthenticationError(
                "the static token was rejected",
                operation="get a token",
                remedy="It has expired or is for another audience: give a fresh one, or a client secret.",
            )
        return self._token


class ClientSecret:
    """A service principal's client id and secret.

    :param tenant_id: directory (tenant) id or domain.
    :param client_id: application (client) id.
    :param client_secret: the secret's value.
    :param cloud: whose token service to ask.
    :param verify: True, or the path of a CA file.
    """

    def __init__(
        self, tenant_id: str, client_id: str, client_secret: str, cloud: Cloud, *, verify: bool | str = True
    ) -> None:
        if not is_safe(cloud.login):
            raise InputError("login", cloud.login, "must be an https URL")
        self._authority = f"{cloud.login}/{tenant_id}"
        self._client_id = client_id
        self._client_secret = client_secret
        self._verify = verify
        self._lock = threading.Lock()
        self._application: Any = None

    def token(self, scope: str, *, rejected: str | None = None) -> str:
        """Return a token from msal's cache, which drops it five minutes before it expires, or a new one."""
        with self._lock:
            answer = self._ask(scope)
            if rejected is not None and answer.get("access_token") == rejected:
                self._application.remove_tokens_for_client()
                answer = self._ask(scope)
        if "access_token" not in answer:
            raise self._refusal(answer)
        return str(answer["access_token"])

    def _ask(self, scope: str) -> dict[str, Any]:
        import requests  # noqa: PLC0415 - not before the first call
        from msal.exceptions import MsalError  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise; it has no types

        from airflow_azml.client.session import no_answer  # noqa: PLC0415 - likewise

        try:
            if self._application is None:
                self._application = self._build()
            answer: dict[str, Any] = self._application.acquire_token_for_client([scope])
        except requests.RequestException as error:
            raise no_answer(error, "get a token", self._authority) from error
        except MsalError as error:  # the token service answered 5xx
            raise ServiceError(str(error), operation="get a token", url=self._authority) from error
        except ValueError as error:  # msal's way to say that the authority is unknown or malformed
            raise AuthenticationError(str(error), operation="get a token", url=self._authority) from error
        return answer

    def _build(self) -> Any:
        import msal  # type: ignore[import-untyped]  # noqa: PLC0415 - not before the first call; it has no types

        from airflow_azml.client.session import Session  # noqa: PLC0415 - likewise

        return msal.ConfidentialClientApplication(
            self._client_id,
            client_credential=self._client_secret,
            authority=self._authority,
            # The host comes from our table or from the connection: no need to ask the public cloud whether it exists.
            instance_discovery=False,
            http_client=Session(verify=self._verify),
        )

    def _refusal(self, answer: dict[str, Any]) -> AuthenticationError:
        reason = str(answer.get("error_description") or "no reason given").splitlines()[0]
        remedy = next((text for code, text in _REMEDIES.items() if code in reason), None)
        return AuthenticationError(
            reason,
            operation=f"get a token for client {self._client_id}",
            code=str(answer.get("error") or ""),
            request_id=str(answer.get("correlation_id") or ""),
            url=self._authority,
            remedy=remedy,
            permanent=answer.get("error") not in _PASSING,
        )
