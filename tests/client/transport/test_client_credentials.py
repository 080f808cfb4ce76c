"""Managed identity, certificates and federated tokens: what is asked and cached, and what is said when it fails."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_azml.client.transport.clouds import CLOUDS
from airflow_azml.client.transport.credentials import ClientCertificate, ManagedIdentity, WorkloadIdentity
from airflow_azml.client.transport.errors import AuthenticationError, InputError

ARM, ML = "https://management.azure.com/.default", "https://ml.azure.com/.default"
CLOUD = CLOUDS["AzureCloud"]
BROKEN = "-----BEGIN PRIVATE KEY-----\neA==\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\neA=="


class Imds(ThreadingHTTPServer):
    """The instance metadata service of an Azure machine, as far as tokens go."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _ImdsHandler)
        self.asked = []
        self.known = {"", "user-1", "/subscriptions/s/identity"}


class _ImdsHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append((parts.path, query, self.headers.get("Metadata")))
        identity = query.get("client_id") or query.get("msi_res_id") or ""
        if identity in self.server.known:
            count = len(self.server.asked)
            body = {"access_token": f"token-{count}", "expires_in": "86400", "resource": query["resource"]}
            self.answer(200, {**body, "token_type": "Bearer"})
        else:
            self.answer(400, {"error": "invalid_request", "error_description": "Identity not found"})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def imds(monkeypatch):
    """A metadata service on loopback, where msal looks for it."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    server = Imds()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("identity", "asked"),
    [
        ("", {}),
        ("user-1", {"client_id": "user-1"}),
        ("/subscriptions/s/identity", {"msi_res_id": "/subscriptions/s/identity"}),
    ],
)
def test_managed_identity(imds, identity, asked):
    """System-assigned, by client id or by ARM id; per audience, without the scope's suffix; then from the cache."""
    tokens = ManagedIdentity(identity)
    assert [tokens.token(scope) for scope in (ARM, ML, ARM)] == ["token-1", "token-2", "token-1"]
    base = {"api-version": "2018-02-01", **asked}
    assert imds.asked == [
        ("/metadata/identity/oauth2/token", {**base, "resource": resource}, "true")
        for resource in ("https://management.azure.com", "https://ml.azure.com")
    ]


@pytest.mark.usefixtures("imds")
def test_a_managed_identity_goes_past_the_proxy(monkeypatch):
    """The endpoint is on the machine itself: no proxy is asked for it, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert ManagedIdentity().token(ARM) == "token-1"


def test_one_refresh_serves_many_threads(imds):
    """Threads that ask together, and together report the same rejected token, cause one request each time."""
    tokens = ManagedIdentity()

    def all_together(**options):
        got = []
        threads = [threading.Thread(target=lambda: got.append(tokens.token(ARM, **options))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return got

    assert all_together() == ["token-1"] * 16
    assert all_together(rejected="token-1") == ["token-2"] * 16
    assert len(imds.asked) == 2


def test_an_identity_that_the_machine_does_not_have(imds):
    """The service's reason, and what to do."""
    with pytest.raises(AuthenticationError, match=r"managed identity nobody.*Identity not found.*assign it") as caught:
        ManagedIdentity("nobody").token(ARM)
    assert caught.value.permanent
    assert len(imds.asked) == 1


def test_a_machine_outside_azure(monkeypatch):
    """No endpoint is no certain verdict: it may be starting. What it means is said."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    with pytest.raises(AuthenticationError, match="only on Azure's own machines") as caught:
        ManagedIdentity().token(ARM)
    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/no/such/file.pem", "No such file"),
        ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "no PRIVATE KEY in it"),
        ("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----", "no CERTIFICATE in it"),
        (f"{BROKEN}\n-----END CERTIFICATE-----", "private key cannot be read"),
    ],
)
def test_a_certificate_that_is_none(text, reason):
    """Said before anything is sent, and without repeating the key."""
    with pytest.raises(InputError, match=reason) as caught:
        ClientCertificate("t", "c", text, CLOUD).token(ARM)
    assert "BEGIN" not in str(caught.value)


def test_a_federated_token_that_is_not_there(requests_mock):
    """Named by field and path."""
    login = "https://login.microsoftonline.com/t"
    requests_mock.get(
        f"{login}/v2.0/.well-known/openid-configuration",
        json={"token_endpoint": f"{login}/t", "authorization_endpoint": f"{login}/a", "issuer": login},
    )
    with pytest.raises(InputError, match="federated_token_file '/no/token': cannot be read"):
        WorkloadIdentity("t", "c", "/no/token", CLOUD).token(ARM)
