"""Who may call: an identity provider of its own that signs real tokens and checks them on every call.

It follows the OAuth 2.0 client credentials flow of the Microsoft identity platform, both the v1 endpoint (`resource`)
and the v2 endpoint (`scope`). The one application it knows is client id `local` with secret `local`.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_azml.emulator.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

CLIENT_ID = "local"
CLIENT_SECRET = "local"  # noqa: S105 - the published credentials of a local emulator
LIFETIME = 3599  # seconds, as the service's own tokens


class IdentityProvider:
    """Signs and checks bearer tokens.

    :param folder: where the signing key is kept, so that tokens stay valid across restarts.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "signing-key.pem"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(_new_key())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path} does not hold an RSA key")
        self._key: rsa.RSAPrivateKey = key
        self.key_id = "emulator"

    def keys(self) -> dict[str, Any]:
        """The public keys (JWKS)."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig"}]}

    def sign(
        self, *, issuer: str, tenant: str, audience: str, subject: str = CLIENT_ID, lifetime: int = LIFETIME
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
        """Return the claims of a valid `Authorization` header; raise the 401 that the service answers otherwise."""
        if not authorization:
            raise _unauthorized("Authentication failed. The 'Authorization' header is missing.")
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer":
            raise _unauthorized("Authentication failed. The 'Authorization' header is provided in an invalid format.")
        try:
            return jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "require": ["exp", "aud", "tid"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise _unauthorized("The access token expiry UTC time is earlier than current UTC time.") from error
        except jwt.InvalidTokenError as error:
            raise _unauthorized("The access token is invalid.") from error


def _unauthorized(message: str) -> Fault:
    challenge = 'Bearer authorization_uri="https://login.microsoftonline.com/common", error="invalid_token"'
    return Fault(401, "AuthenticationFailed", message, headers={"WWW-Authenticate": challenge})


def _new_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
