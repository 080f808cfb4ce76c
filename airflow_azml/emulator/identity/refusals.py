"""How the login host refuses: the errors of the Microsoft identity platform, each with its AADSTS number.

https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any


class SignInError(Exception):
    """A sign-in that Entra ID would refuse.

    :param error: the OAuth 2.0 error code.
    :param number: of the AADSTS error.
    :param reason: its words.
    :param status: HTTP status.
    """

    def __init__(self, error: str, number: int, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.error, self.number, self.reason, self.status = error, number, reason, status

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
        found = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}"
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.reason} {found}",
            "error_codes": [self.number],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }


def unknown_client(client_id: str) -> SignInError:
    """An application that the tenant does not have."""
    return SignInError(
        "unauthorized_client", 700016, f"Application with identifier '{client_id}' was not found in the directory."
    )


def wrong_secret(client_id: str) -> SignInError:
    """A secret that is not the application's."""
    reason = (
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        f"not the client secret ID, for a secret added to app '{client_id}'."
    )
    return SignInError("invalid_client", 7000215, reason, status=401)


def unknown_tenant(tenant: str, error: str) -> SignInError:
    """A tenant that does not exist, or a text that cannot name one."""
    try:
        uuid.UUID(tenant)
    except ValueError:
        if "." not in tenant:
            reason = f"Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."
            return SignInError(error, 900023, reason)
    reason = (
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud."
    )
    return SignInError(error, 90002, reason)


def unknown_resource(resource: str, tenant: str) -> SignInError:
    """A service that nobody can get a token for."""
    reason = (
        f"The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant."
    )
    return SignInError("invalid_resource", 500011, reason)


def wrong_scope(scope: str) -> SignInError:
    """A scope that is not `{resource}/.default`."""
    reason = (
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI)."
    )
    return SignInError("invalid_scope", 1002012, reason)


def missing(parameter: str) -> SignInError:
    """A form without a parameter."""
    return SignInError(
        "invalid_request", 900144, f"The request body must contain the following parameter: '{parameter}'."
    )
