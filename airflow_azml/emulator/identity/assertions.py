"""Client assertions: how an application proves at the token endpoint that it is the one, without a secret.

RFC 7523, and https://learn.microsoft.com/entra/identity-platform/certificate-credentials. Two kinds come in:

- one that the application signs itself with its certificate (``iss`` is the client id, ``aud`` the token endpoint). The
  emulator has no registered certificates: it takes the one that the assertion carries (``x5c``) and checks the
  signature with it. What carries none is taken unverified.
- one that another identity provider has signed (workload identity federation). The emulator knows no provider's keys:
  it checks form, lifetime and audience, not the signature.
"""

from __future__ import annotations

import base64
from typing import Any

import jwt
from cryptography import x509

from airflow_azml.emulator.identity.refusals import SignInError

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "api://AzureADTokenExchange"
"""The audience of a federated token."""
_ALGORITHMS = ["RS256", "PS256"]


def check(assertion: str, *, client_id: str, endpoint: str) -> None:
    """Raise SignInError unless the assertion is a well-formed, unexpired JWT for this endpoint.

    :param endpoint: the address that the assertion was posted to.
    """
    try:
        key = _certificate_key(jwt.get_unverified_header(assertion))
        claims = jwt.decode(
            assertion,
            key,
            algorithms=_ALGORITHMS if key else None,
            options={
                "verify_signature": key is not None,
                "verify_exp": True,
                "verify_aud": False,
                "require": ["exp", "aud", "iss", "sub"],
            },
        )
    except jwt.ExpiredSignatureError as error:
        raise _refused(700024, "Client assertion is not within its valid time range.") from error
    except jwt.InvalidSignatureError as error:
        raise _refused(700027, "Client assertion failed signature validation.") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:  # malformed anywhere: header, certificate, its kind of key
        raise _refused(50027, f"Invalid JWT token: {error}.") from error
    _check_audience(claims, endpoint)
    if claims["aud"] != EXCHANGE and client_id not in (claims["iss"], claims["sub"]):
        raise _refused(700021, "Client assertion's issuer and subject are not the application.")


def _check_audience(claims: dict[str, Any], endpoint: str) -> None:
    if claims["aud"] not in (EXCHANGE, endpoint):
        raise _refused(700023, f"Client assertion audience claim does not match '{endpoint}'.")


def _certificate_key(header: dict[str, Any]) -> Any:
    chain = header.get("x5c")
    if not chain:
        return None
    if not isinstance(chain, list) or not isinstance(chain[0], str):
        raise TypeError("x5c must be a list of certificates")
    return x509.load_der_x509_certificate(base64.b64decode(chain[0])).public_key()


def _refused(number: int, reason: str) -> SignInError:
    return SignInError("invalid_client", number, reason, status=401)
