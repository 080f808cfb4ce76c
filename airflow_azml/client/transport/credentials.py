"""The credentials that sign in: client secret, certificate, workload identity, managed identity.

This module loads msal and requests. It is imported when a connection is used, never by a DAG file.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import msal  # type: ignore[import-untyped]  # it has no types
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow_azml.client.transport.clouds import is_safe
from airflow_azml.client.transport.errors import AuthenticationError, ConnectionFailedError, InputError
from airflow_azml.client.transport.msal_tokens import MsalTokens
from airflow_azml.client.transport.session import TokenSession
from airflow_azml.client.transport.text_files import read_text

if TYPE_CHECKING:
    from airflow_azml.client.transport.clouds import Cloud

_NOT_IN_AZURE = (
    "A managed identity exists only on Azure's own machines, and this one has no endpoint that hands it out."
)


class ConfidentialClient(MsalTokens):
    """A service principal. The subclasses say which proof of identity it sends.

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
        pem = self._certificate if "-----BEGIN" in self._certificate else read_text("certificate", self._certificate)
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
        return {"client_assertion": lambda: read_text("federated_token_file", self._token_file).strip()}


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
        except ConnectionFailedError as error:
            raise AuthenticationError(
                f"no answer: {error.code}",
                operation=f"get a token for {self._subject}",
                remedy=_NOT_IN_AZURE,
                permanent=False,
            ) from error
        return answer

    def _build(self) -> Any:
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
    try:
        load_pem_private_key(pem.encode(), passphrase.encode() or None)
    except (TypeError, ValueError) as error:  # a passphrase that is wrong, missing, or given for a key that needs none
        raise InputError("certificate", None, f"its private key cannot be read: {error}") from error
