"""Tokens by msal: cached, fetched before they expire, one refresh for all threads.

A fetch that failed says what the token endpoint said, and what people do about it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any

from msal.exceptions import MsalError  # type: ignore[import-untyped]  # it has no types

from airflow_azml.client.transport.errors import AuthenticationError, AzureMLError, ServiceError

# What people do about the commonest reasons of Entra ID:
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_REMEDIES = {
    "AADSTS7000215": "The client secret is wrong: give the secret's value, not its id.",
    "AADSTS7000222": "The client secret has expired: make a new one.",
    "AADSTS700016": "The client id is not known in this tenant.",
    "AADSTS90002": "The tenant does not exist: check the tenant id and the cloud.",
    "AADSTS700027": "The certificate is not one of the application's: upload its public part, or it has expired.",
    "AADSTS70021": "No federated credential of the application fits the token's issuer, subject and audience.",
    "AADSTS700211": "No federated credential of the application fits the token's issuer.",
    "AADSTS700213": "No federated credential of the application fits the token's subject.",
    "Identity not found": "This machine has no such managed identity: assign it, or correct its client id.",
}
# OAuth's own words (RFC 6749, 4.1.2.1) for "try again".
_PASSING = frozenset({"temporarily_unavailable", "server_error"})


class MsalTokens(ABC):
    """Tokens of an msal application: cached by it, one refresh at a time.

    :param subject: who asks, in words, for errors.
    :param place: who is asked, for errors.
    :param verify: True, or the path of a CA file.
    """

    def __init__(self, subject: str, place: str, *, verify: bool | str = True) -> None:
        self._subject = subject
        self._place = place
        self._verify = verify
        self._lock = threading.RLock()  # a handler of a signal, too, may call amid anything
        self._application: Any = None

    def token(self, scope: str, *, rejected: str | None = None) -> str:
        """Return a token from msal's cache, which drops it five minutes before it expires, or a new one."""
        with self._lock:
            answer = self._ask(scope)
            if rejected is not None and answer.get("access_token") == rejected:
                self._application = None  # and with it the cache
                answer = self._ask(scope)
        if "access_token" not in answer:
            raise self._refusal(answer)
        return str(answer["access_token"])

    @abstractmethod
    def _build(self) -> Any:
        """Return a new msal application."""

    @abstractmethod
    def _acquire(self, scope: str) -> dict[str, Any]:
        """Ask the application."""

    def _ask(self, scope: str) -> dict[str, Any]:
        try:
            if self._application is None:
                self._application = self._build()
            return self._acquire(scope)
        except AzureMLError:
            raise
        except MsalError as error:  # the token service answered 5xx
            raise ServiceError(str(error), operation="get a token", url=self._place) from error
        except ValueError as error:  # msal's way to say that the authority is unknown, or an answer malformed
            raise AuthenticationError(str(error), operation="get a token", url=self._place) from error

    def _refusal(self, answer: dict[str, Any]) -> AuthenticationError:
        reason = next(iter(str(answer.get("error_description") or "").splitlines()), "") or "no reason given"
        error = answer.get("error") or ""  # what stands before a token service may answer an object here
        remedy = next((text for code, text in _REMEDIES.items() if code in reason), None)
        return AuthenticationError(
            reason,
            operation=f"get a token for {self._subject}",
            code=error if isinstance(error, str) else "",
            request_id=str(answer.get("correlation_id") or ""),
            url=self._place,
            remedy=remedy,
            permanent=str(error) not in _PASSING,
        )
