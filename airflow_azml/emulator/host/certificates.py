"""A certificate authority of the emulator's own, so that clients meet it over TLS as they meet the service.

The authority is made once per data folder (`ca.pem` is what clients trust); the server's certificate is renewed at
every start and names every host that the service's own clients would call.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from airflow_azml.emulator.http.addresses import BLOBS_INSIDE, INSIDE
from airflow_azml.emulator.kernel.state import StateError, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

HOSTS = (
    "localhost",
    "*.localhost",
    INSIDE,
    BLOBS_INSIDE,
    "login.microsoftonline.com",
    "management.azure.com",
    "ml.azure.com",
    "*.api.azureml.ms",
    "*.blob.core.windows.net",
    "*.eastus.inference.ml.azure.com",
)
LIFETIME = timedelta(days=365)


def ensure_certificates(folder: Path, hosts: Iterable[str]) -> tuple[Path, Path]:
    """Make what is missing in the folder and return the paths of the server's certificate chain and key.

    :param hosts: names and addresses for the server's certificate, beside loopback and Azure's own names.
    """
    authority_path, authority_key_path = folder / "ca.pem", folder / "ca-key.pem"
    if not (authority_path.exists() and authority_key_path.exists()):
        _make_authority(authority_path, authority_key_path)
    authority, authority_key = _authority(authority_path, authority_key_path)
    certificate_path, key_path = folder / "server.pem", folder / "server-key.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    names = [_general_name(host) for host in dict.fromkeys([*HOSTS, "127.0.0.1", "::1", *sorted(hosts)])]
    certificate = (
        _builder("airflow-azml emulator", authority.subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + authority_path.read_bytes()
    write_whole(certificate_path, chain)
    write_whole(key_path, _pem(key), 0o600)
    return certificate_path, key_path


def write_bundle(path: Path, folder: Path) -> None:
    """Write what a run trusts: the authorities that this process trusts, and the emulator's own."""
    usual = Path(os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where())
    present = usual.read_text() if usual.is_file() else ""
    write_whole(path, f"{present}\n{(folder / 'ca.pem').read_text()}".encode())


def _authority(path: Path, key_path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise StateError(f"{path} and {key_path.name} are no certificate authority: remove both, and another is made")
    return certificate, key


def _make_authority(path: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("airflow-azml emulator CA")
    certificate = (
        _builder("airflow-azml emulator CA", name, key.public_key(), LIFETIME * 10)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(key, hashes.SHA256())
    )
    write_whole(path, certificate.public_bytes(serialization.Encoding.PEM))
    write_whole(key_path, _pem(key), 0o600)


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(
    subject: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: timedelta = LIFETIME
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + lifetime)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
