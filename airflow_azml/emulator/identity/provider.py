"""Who may call: an identity provider of its own that signs real tokens and checks them on every call.

It follows the OAuth 2.0 client credentials flow of the Microsoft identity platform, both the v1 endpoint (`resource`)
and the v2 endpoint (`scope`). The one application that it knows has the client id `local`; its secret is made for each
data folder, because a secret that others know, or that is a word of the logs (Airflow masks it there), is none.
"""

from __future__ import annotations

import hmac
import secrets
import time
import uuid
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.state import StateError, kept

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = 1000  # whose signatures are known to be right
LIFETIME = 3599  # seconds, as the service's own tokens


class IdentityProvider:
    """Signs and checks bearer tokens.

    :param folder: where the signing key and the secret are kept, so that they stay valid across restarts.
    :param client_secret: of the application; by default the one of the folder, which is made when absent.
    """

    def __init__(self, folder: Path, client_secret: str = "") -> None:
        self._key = _signing_key(folder / "signing-key.pem")
        self.key_id = "emulator"
        # Every caller sends the same token again and again, and a signature takes longer to verify than most work.
        self._verified = lru_cache(TOKENS)(partial(_verified, self._key.public_key()))
        self.client_secret = client_secret or _secret(folder / "client-secret")

    def knows(self, client_secret: str) -> bool:
        """Tell whether this is the application's secret."""
        return hmac.compare_digest(client_secret.encode(), self.client_secret.encode())

    def keys(self) -> dict[str, Any]:
        """The public keys (JWKS)."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig"}]}

    def sign(
        self, *, issuer: str, tenant: str, audience: str, subject: str = facts.CLIENT_ID, lifetime: int = LIFETIME
    ) -> str:
        """Return a signed access token for the audience, valid for so many seconds."""
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": issuer,
            "tid": tenant,
            "appid": subject,
            "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, subject)),
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "ver": "1.0",
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.key_id})

    def check(self, authorization: str | None) -> dict[str, Any]:
        """Return the claims of a valid `Authorization` header; raise the 401 that the service answers otherwise.

        The audience is not looked at: every service has its own.
        """
        if not authorization:
            raise _unauthorized("Authentication failed. The 'Authorization' header is missing.")
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer":
            raise _unauthorized("Authentication failed. The 'Authorization' header is provided in an invalid format.")
        claims = self._verified(token)
        if claims["exp"] <= time.time():
            raise _unauthorized("The access token expiry UTC time is earlier than current UTC time.")
        if claims["tid"] != facts.TENANT:
            raise _wrong_tenant(str(claims.get("iss")))
        return claims


def _verified(key: rsa.RSAPublicKey, token: str) -> dict[str, Any]:
    """Return the claims of a token whose signature is right; its times are not looked at."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            options={"verify_aud": False, "verify_exp": False, "require": ["exp", "aud", "tid"]},
        )
    except jwt.InvalidTokenError as error:
        raise _unauthorized("The access token is invalid.") from error
    if not isinstance(claims["exp"], int):
        raise _unauthorized("The access token is invalid.")
    return claims


def _unauthorized(message: str) -> Fault:
    challenge = 'Bearer authorization_uri="https://login.microsoftonline.com/common", error="invalid_token"'
    return Fault(401, "AuthenticationFailed", message, headers={"WWW-Authenticate": challenge})


def _wrong_tenant(issuer: str) -> Fault:
    right = f"https://sts.windows.net/{facts.TENANT}/"
    message = (
        f"The access token is from the wrong issuer '{issuer}'. It must match the tenant '{right}' associated with "
        "this subscription. Please use correct authority to get the token."
    )
    return Fault(401, "InvalidAuthenticationTokenTenant", message)


def _signing_key(path: Path) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(kept(path, _new_key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise StateError(f"{path} does not hold the key that signs tokens: remove it, and another one is made")
    return key


def _secret(path: Path) -> str:
    secret = kept(path, _new_secret).decode(errors="replace").strip()
    if not secret:
        raise StateError(f"{path} is empty: remove it, and another secret is made")
    return secret


def _new_secret() -> bytes:
    return secrets.token_urlsafe(30).encode()


def _new_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
