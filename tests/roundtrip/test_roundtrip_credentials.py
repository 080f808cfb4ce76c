"""Every credential signs in at the emulator's token endpoint, through msal and over TLS, and opens Resource Manager."""

from __future__ import annotations

import datetime as dt
import time

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from emulator_process import TENANT

from airflow_azml.client.routing import Routing
from airflow_azml.client.transport.credentials import ClientCertificate, ClientSecret, WorkloadIdentity
from airflow_azml.client.transport.errors import AuthenticationError


def pem(passphrase=b""):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "airflow")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return (encoded + certificate.public_bytes(serialization.Encoding.PEM)).decode()


def opens(site, tokens):
    with site.client(tokens=tokens) as client:
        return Routing(client.transport, client.workspace).fetch()["name"] == "local"


@pytest.mark.parametrize("passphrase", [b"", b"pass phrase"])
def test_a_certificate_signs_in(site, tmp_path, passphrase):
    """As text and as a file, with and without a passphrase."""
    text = pem(passphrase)
    path = tmp_path / "sp.pem"
    path.write_text(text)
    for certificate in (text, str(path)):
        tokens = ClientCertificate(
            TENANT, "local", certificate, site.cloud, passphrase=passphrase.decode(), verify=site.ca
        )
        assert opens(site, tokens)


def federated(**claims):
    base = {"aud": "api://AzureADTokenExchange", "iss": "https://kubernetes", "sub": "system:serviceaccount:a:b"}
    return jwt.encode({**base, "exp": int(time.time()) + 600, **claims}, "x" * 32, algorithm="HS256")


def test_a_workload_identity_signs_in_and_reads_its_token_again(site, tmp_path):
    """The file is read for every refresh: its token is replaced in place long before the process ends."""
    path = tmp_path / "token"
    path.write_text(f"{federated(exp=1)}\n")
    tokens = WorkloadIdentity(TENANT, "local", str(path), site.cloud, verify=site.ca)
    with pytest.raises(AuthenticationError, match="AADSTS700024"):
        tokens.token(site.cloud.arm_scope)
    path.write_text(federated())
    assert opens(site, tokens)
    first = tokens.token(site.cloud.arm_scope)
    path.write_text(federated(aud="somebody else"))
    assert tokens.token(site.cloud.arm_scope) == first
    with pytest.raises(AuthenticationError, match="AADSTS700023"):
        tokens.token(site.cloud.arm_scope, rejected=first)


def test_the_second_audience_is_a_second_token(site):
    """Azure ML's own scope gets a token of its own, which is cached beside the first."""
    tokens = ClientSecret(TENANT, "local", site.emulator.secret, site.cloud, verify=site.ca)
    arm, ml = tokens.token(site.cloud.arm_scope), tokens.token(site.cloud.ml_scope)
    audience = jwt.decode(ml, options={"verify_signature": False})["aud"]
    assert (audience, tokens.token(site.cloud.arm_scope)) == (site.cloud.ml_audience, arm)
    assert arm != ml
