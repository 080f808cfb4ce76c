"""Client assertions at the token endpoint: what proves an application, and what does not."""

from __future__ import annotations

import base64
import datetime as dt
import time

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from emulator_process import TENANT

FORM = {
    "grant_type": "client_credentials",
    "client_id": "local",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
}


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def chain(key):
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1, now, now + dt.timedelta(1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    return [base64.b64encode(certificate).decode()]


def sign_in(emulator, assertion, endpoint="v2.0/", **form):
    url = f"{emulator.url}/{TENANT}/oauth2/{endpoint}token"
    target = {"scope": "https://management.azure.com/.default", "resource": "https://management.azure.com/"}
    return requests.post(url, data={**FORM, **target, "client_assertion": assertion, **form}, timeout=10)


def claims(emulator, endpoint="v2.0/", **changes):
    url = f"{emulator.url}/{TENANT}/oauth2/{endpoint}token"
    return {"aud": url, "iss": "local", "sub": "local", "exp": int(time.time()) + 600, **changes}


@pytest.mark.parametrize("endpoint", ["v2.0/", ""])
@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_assertion_signed_with_the_certificate_it_carries(emulator, key, chain, endpoint, algorithm):
    """Both token endpoints take it, in both of msal's algorithms."""
    assertion = jwt.encode(claims(emulator, endpoint), key, algorithm=algorithm, headers={"x5c": chain})
    assert "access_token" in sign_in(emulator, assertion, endpoint).json()


def test_a_federated_token(emulator):
    """Another provider's token with the exchange's audience."""
    told = claims(emulator, aud="api://AzureADTokenExchange", iss="https://k8s", sub="a:b")
    assert "access_token" in sign_in(emulator, jwt.encode(told, "x" * 32, algorithm="HS256")).json()


@pytest.mark.parametrize(
    ("changes", "number"),
    [({"exp": 1}, 700024), ({"aud": "https://elsewhere/token"}, 700023), ({"iss": "x", "sub": "x"}, 700021)],
)
def test_assertions_that_are_refused(emulator, key, chain, changes, number):
    """Expired, for somebody else, or by somebody else."""
    assertion = jwt.encode(claims(emulator, **changes), key, algorithm="RS256", headers={"x5c": chain})
    answer = sign_in(emulator, assertion)
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [number])


def test_assertions_that_are_none(emulator, key, chain):
    """Another key's signature, text that is no JWT, broken certificates, and an assertion of no type."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode(claims(emulator), other, algorithm="RS256", headers={"x5c": chain})
    broken = [
        jwt.encode(claims(emulator), key, algorithm="RS256", headers={"x5c": x}) for x in ([""], "?", [7], {"a": 1})
    ]
    odd = jwt.encode(claims(emulator, aud=["a", "b"]), key, algorithm="RS256", headers={"x5c": chain})
    answers = [sign_in(emulator, text) for text in (forged, "x", "a.b.c", odd, *broken)]
    assert {answer.status_code for answer in answers} == {401}
    good = jwt.encode(claims(emulator), key, algorithm="RS256", headers={"x5c": chain})
    assert sign_in(emulator, good, client_assertion_type="").json()["error_codes"] == [7000215]
