"""Where bearer tokens come from.

A :class:`TokenSource` is asked before every request and answers from its cache; it fetches early, before a token has
expired, and one refresh serves all threads. A failed fetch says what the token endpoint said. Which source is used is
the caller's choice: nothing here tries one credential after another.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_azml.client.transport.clouds import is_safe
from airflow_azml.client.transport.errors import AuthenticationError, InputError, ServiceError

if TYPE_CHECKING:
    from airflow_azml.client.transport.clouds import Cloud

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
_NOT_IN_AZURE = (
    "A managed identity exists only on Azure's own machines, and this one has no endpoint that hands it out."
)
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
        import requests  # noqa: PLC0415 - not before the first call
        from msal.exceptions import MsalError  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise; it has no types

        from airflow_azml.client.transport.session import no_answer  # noqa: PLC0415 - likewise

        try:
            if self._application is None:
                self._application = self._build()
            return self._acquire(scope)
        except requests.HTTPError as error:
            status = error.response.status_code
            raise ServiceError("no token now", operation="get a token", status_code=status, url=self._place) from error
        except requests.RequestException as error:
            raise no_answer(error, "get a token", self._place) from error
        except MsalError as error:  # the token service answered 5xx
            raise ServiceError(str(error), operation="get a token", url=self._place) from error
        except InputError:
            raise
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


class ConfidentialClient(MsalTokens):
    """A service principal; how it proves that it is the one, its subclasses say.

    :param tenant_id: directory (tenant) id or domain.
    :param client_id: application (client) id.
    :param cloud: whose token service to ask.
    :param verify: True, or the path of a CA file.
    """

    def __init__(self, tenant_id: str, client_id: str, cloud: Cloud, *, verify: bool | str = True) -> None:
        if not is_safe(cloud.login):
            raise InputError("login", cloud.login, "must be an https URL")
        super().__init__(f"client {client_id}", f"{cloud.login}/{tenant_id}", verify=verify)
        self._client_id = client_id

    @abstractmethod
    def _credential(self) -> Any:
        """Return what msal calls the client credential."""

    def _acquire(self, scope: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._application.acquire_token_for_client([scope])
        return answer

    def _build(self) -> Any:
        import msal  # type: ignore[import-untyped]  # noqa: PLC0415 - not before the first call; it has no types

        from airflow_azml.client.transport.session import TokenSession  # noqa: PLC0415 - likewise

        return msal.ConfidentialClientApplication(
            self._client_id,
            client_credential=self._credential(),
            authority=self._place,
            # The host comes from our table or from the connection: no need to ask the public cloud whether it exists.
            instance_discovery=False,
            http_client=TokenSession(verify=self._verify),
        )


class ClientSecret(ConfidentialClient):
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
        super().__init__(tenant_id, client_id, cloud, verify=verify)
        self._client_secret = client_secret

    def _credential(self) -> str:
        return self._client_secret


class ClientCertificate(ConfidentialClient):
    """A service principal's certificate with its private key.

    :param tenant_id: directory (tenant) id or domain.
    :param client_id: application (client) id.
    :param certificate: PEM text with certificate and private key, or the path of a file with it.
    :param cloud: whose token service to ask.
    :param passphrase: of the private key, if it is encrypted.
    :param verify: True, or the path of a CA file.
    """

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        certificate: str,
        cloud: Cloud,
        *,
        passphrase: str = "",
        verify: bool | str = True,
    ) -> None:
        super().__init__(tenant_id, client_id, cloud, verify=verify)
        self._certificate = certificate
        self._passphrase = passphrase

    def _credential(self) -> dict[str, str]:
        pem = self._certificate if "-----BEGIN" in self._certificate else _read("certificate", self._certificate)
        for part in ("CERTIFICATE", "PRIVATE KEY"):
            if f"{part}-----" not in pem:
                raise InputError("certificate", None, f"must be PEM with certificate and private key: no {part} in it")
        _check_key(pem, self._passphrase)
        # With the certificate itself in the assertion (x5c), subject name and issuer authentication works too.
        credential = {"private_key": pem, "public_certificate": pem}
        return {**credential, "passphrase": self._passphrase} if self._passphrase else credential


class WorkloadIdentity(ConfidentialClient):
    """A service principal that trusts somebody else's token: Kubernetes, GitHub and other federated identities.

    :param tenant_id: directory (tenant) id or domain.
    :param client_id: application (client) id.
    :param token_file: path of the file with the other party's token, which is read again for every refresh: such
        tokens live for an hour at most and are replaced in place.
    :param cloud: whose token service to ask.
    :param verify: True, or the path of a CA file.
    """

    def __init__(
        self, tenant_id: str, client_id: str, token_file: str, cloud: Cloud, *, verify: bool | str = True
    ) -> None:
        super().__init__(tenant_id, client_id, cloud, verify=verify)
        self._token_file = token_file

    def _credential(self) -> dict[str, Any]:
        return {"client_assertion": lambda: _read("federated_token_file", self._token_file).strip()}


class ManagedIdentity(MsalTokens):
    """The identity of the Azure machine, pod or app that this runs on.

    :param identity: client id, or ARM id, of a user-assigned identity; the system-assigned one when empty.
    """

    def __init__(self, identity: str = "") -> None:
        super().__init__(f"managed identity {identity or '(system-assigned)'}", "the machine's identity endpoint")
        self._identity = identity

    def _acquire(self, scope: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._application.acquire_token_for_client(
                resource=scope.removesuffix("/.default")
            )
        except OSError as error:  # requests' exceptions are OSErrors
            if getattr(error, "response", None) is not None:  # it did answer
                raise
            raise AuthenticationError(
                f"no answer: {type(error).__name__}",
                operation=f"get a token for {self._subject}",
                remedy=_NOT_IN_AZURE,
                permanent=False,
            ) from error
        return answer

    def _build(self) -> Any:
        import msal  # noqa: PLC0415 - not before the first call

        from airflow_azml.client.transport.session import TokenSession  # noqa: PLC0415 - likewise

        kind = "resource_id" if self._identity.startswith("/") else "client_id"
        identity = (
            msal.UserAssignedManagedIdentity(**{kind: self._identity})
            if self._identity
            else msal.SystemAssignedManagedIdentity()
        )
        session = TokenSession(timeout=(3, 30))
        session.trust_env = False  # the endpoint is on this very machine: no proxy knows the way to it
        return msal.ManagedIdentityClient(identity, http_client=session)


def _check_key(pem: str, passphrase: str) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - msal brings it

    try:
        load_pem_private_key(pem.encode(), passphrase.encode() or None)
    except (TypeError, ValueError) as error:  # a passphrase that is wrong, missing, or given for a key that needs none
        raise InputError("certificate", None, f"its private key cannot be read: {error}") from error


def _read(field: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(field, path, f"cannot be read: {reason}") from error
