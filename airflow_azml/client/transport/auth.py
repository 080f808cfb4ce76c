"""Sources of bearer tokens: their interface, and the source that returns a given token.

The caller chooses one source; nothing here tries several credentials. The sources that sign in are in
:mod:`.credentials`.
"""

from __future__ import annotations

from typing import Protocol

from airflow_azml.client.transport.errors import AuthenticationError


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
