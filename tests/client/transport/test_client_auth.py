"""Tokens by msal: cached per audience, refreshed once, and the endpoint's own reason when there is none."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import requests

from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.client.transport.clouds import CLOUDS, cloud_named, custom_cloud
from airflow_azml.client.transport.credentials import ClientSecret
from airflow_azml.client.transport.errors import AuthenticationError, ConnectionFailedError, InputError, ServiceError
from airflow_azml.client.transport.retries import RetryPolicy

LOGIN = "https://login.microsoftonline.com/tenant"
CONFIGURATION = {
    "token_endpoint": f"{LOGIN}/oauth2/v2.0/token",
    "authorization_endpoint": f"{LOGIN}/a",
    "issuer": LOGIN,
}
ARM, ML = "https://management.azure.com/.default", "https://ml.azure.com/.default"


@pytest.fixture
def endpoint(requests_mock):
    """A token endpoint that counts what it hands out."""
    requests_mock.get(f"{LOGIN}/v2.0/.well-known/openid-configuration", json=CONFIGURATION)
    issued = []

    def answer(request, _):
        issued.append(request.text)
        return {"access_token": f"token-{len(issued)}", "token_type": "Bearer", "expires_in": 3599}

    requests_mock.post(f"{LOGIN}/oauth2/v2.0/token", json=answer)
    return issued


@pytest.fixture
def at_once(monkeypatch):
    """Nothing waits before a repetition."""
    monkeypatch.setattr(RetryPolicy, "delay", lambda *_: 0.0)


def secret(**options):
    return ClientSecret("tenant", "client", "hunter2", CLOUDS["AzureCloud"], **options)


def test_one_token_per_audience_is_cached(endpoint):
    """The second question for an audience is answered without a request."""
    tokens = secret()
    assert [tokens.token(ARM), tokens.token(ARM), tokens.token(ML), tokens.token(ARM)] == [
        "token-1", "token-1", "token-2", "token-1",
    ]  # fmt: skip
    assert "scope=https%3A%2F%2Fmanagement.azure.com%2F.default" in endpoint[0]


@pytest.mark.usefixtures("endpoint")
def test_a_token_is_fetched_before_it_expires(requests_mock):
    """A token with less than five minutes to live is not used."""
    requests_mock.post(
        f"{LOGIN}/oauth2/v2.0/token", json={"access_token": "short", "token_type": "Bearer", "expires_in": 200}
    )
    tokens = secret()
    tokens.token(ARM)
    tokens.token(ARM)
    assert [request.method for request in requests_mock.request_history].count("POST") == 2


def test_a_rejected_token_is_replaced_once_for_all_threads(endpoint):
    """Many threads whose token was rejected cause one refresh."""
    tokens = secret()
    old = tokens.token(ARM)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(tokens.token(ARM, rejected=old))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["token-2"] * 8
    assert len(endpoint) == 2


@pytest.mark.usefixtures("endpoint")
def test_a_wrong_secret_gives_the_endpoints_reason(requests_mock):
    """The AADSTS reason, the code and a remedy reach the user; the secret does not."""
    requests_mock.post(
        f"{LOGIN}/oauth2/v2.0/token",
        status_code=401,
        json={"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided.\r\nT: 1",
              "correlation_id": "c1"},
    )  # fmt: skip
    with pytest.raises(AuthenticationError) as caught:
        secret().token(ARM)
    error = caught.value
    assert (error.code, error.message, error.request_id) == (
        "invalid_client", "AADSTS7000215: Invalid client secret provided.", "c1",
    )  # fmt: skip
    assert "secret's value" in str(error)
    assert "hunter2" not in str(error)
    assert error.permanent


@pytest.mark.usefixtures("endpoint", "at_once")
def test_a_token_service_that_is_busy_is_worth_a_retry(requests_mock):
    """Not every refusal is about the credential."""
    requests_mock.post(f"{LOGIN}/oauth2/v2.0/token", status_code=400, json={"error": "temporarily_unavailable"})
    with pytest.raises(AuthenticationError) as caught:
        secret().token(ARM)
    assert not caught.value.permanent
    requests_mock.post(f"{LOGIN}/oauth2/v2.0/token", status_code=503)
    with pytest.raises(ServiceError) as caught:
        secret().token(ML)
    assert not caught.value.permanent


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "passing",
    [
        {"status_code": 429, "json": {"error": {"code": "TooManyRequests"}}, "headers": {"Retry-After": "1"}},
        {"status_code": 500},
        {"status_code": 504, "text": "<html>"},
        {"exc": requests.ConnectionError("reset")},
        {"exc": requests.exceptions.SSLError("EOF occurred in violation of protocol")},
    ],
)
def test_a_passing_fault_of_the_token_service_is_waited_out(requests_mock, passing):
    """A bad answer to either of the two requests on the way to a token fails no task."""
    token = {"json": {"access_token": "token", "token_type": "Bearer", "expires_in": 3599}}
    requests_mock.get(f"{LOGIN}/v2.0/.well-known/openid-configuration", [passing, {"json": CONFIGURATION}])
    requests_mock.post(f"{LOGIN}/oauth2/v2.0/token", [passing, passing, token])
    assert secret().token(ARM) == "token"


@pytest.mark.usefixtures("endpoint")
def test_a_refusal_in_nobodys_format_is_still_a_refusal(requests_mock):
    """A gateway before the token service may answer an object where OAuth has a word."""
    requests_mock.post(f"{LOGIN}/oauth2/v2.0/token", status_code=403, json={"error": {"code": "Forbidden"}})
    with pytest.raises(AuthenticationError) as caught:
        secret().token(ARM)
    assert caught.value.permanent


def test_an_unknown_tenant_is_an_authentication_error(requests_mock):
    """The tenant's configuration that is not there is said as such."""
    requests_mock.get(
        f"{LOGIN}/v2.0/.well-known/openid-configuration", status_code=400, json={"error": "invalid_tenant"}
    )
    with pytest.raises(AuthenticationError, match="tenant"):
        secret().token(ARM)


@pytest.mark.usefixtures("at_once")
def test_no_token_service_is_a_connection_error(requests_mock):
    """A login host that does not answer is worth a retry; one whose certificate is unknown is not."""
    requests_mock.get(f"{LOGIN}/v2.0/.well-known/openid-configuration", exc=requests.ConnectionError("refused"))
    with pytest.raises(ConnectionFailedError) as caught:
        secret().token(ARM)
    assert not caught.value.permanent
    tls = requests.exceptions.SSLError("certificate verify failed")
    requests_mock.get(f"{LOGIN}/v2.0/.well-known/openid-configuration", exc=tls)
    with pytest.raises(ConnectionFailedError, match="certificate authority") as caught:
        secret().token(ARM)
    assert caught.value.permanent


@pytest.mark.usefixtures("endpoint")
def test_the_secret_follows_no_redirect_and_has_a_timeout(requests_mock):
    """The token endpoint's redirect is not obeyed: it would carry the secret away."""
    requests_mock.post(
        f"{LOGIN}/oauth2/v2.0/token", status_code=307, headers={"Location": "https://evil.example/"}, json={}
    )
    with pytest.raises(AuthenticationError):
        secret(verify="/mine.pem").token(ARM)
    assert all("evil" not in request.url for request in requests_mock.request_history)
    assert all(
        request.timeout == (10, 60) and request.verify == "/mine.pem" for request in requests_mock.request_history
    )


def test_a_static_token_cannot_be_refreshed():
    """It is handed out for every scope, and its rejection is explained."""
    tokens = StaticToken("t")
    assert tokens.token(ARM) == tokens.token(ML) == "t"
    with pytest.raises(AuthenticationError, match="expired"):
        tokens.token(ARM, rejected="t")


def test_clouds():
    """Public clouds are found by name; a custom one trusts its own hosts, their subdomains and what it is told to."""
    assert cloud_named("AzureChinaCloud").arm_scope == "https://management.chinacloudapi.cn/.default"
    assert cloud_named("AzureUSGovernment").ml_scope == "https://ml.azure.us/.default"
    with pytest.raises(InputError, match="AzureChinaCloud"):
        cloud_named("azure")
    cloud = custom_cloud(
        login="https://127.0.0.1:8443/", arm="http://127.0.0.1:8080/", trusted_hosts=("Stack.Example",)
    )
    assert cloud.arm_scope == "http://127.0.0.1:8080/.default"
    for url in ("http://127.0.0.1:8080/x", "https://127.0.0.1/x", "https://api.stack.example/x"):
        assert cloud.trusts(url)
    for url in ("http://stack.example/x", "https://127.0.0.2/x", "https://management.azure.com/x"):
        assert not cloud.trusts(url)
    with pytest.raises(InputError, match="https"):
        custom_cloud(login="http://stack.example", arm="https://stack.example")


def test_importing_the_client_loads_neither_requests_nor_msal():
    """Parsing a DAG file must not pay for them; nor for yaml and pathspec."""
    modules = [
        "azureml",
        "names",
        "transport.errors",
        "routing",
        "lifecycle",
        "specs.run_definition",
        "files.bundle",
        "transport.clouds",
        "transport.auth",
        "transport.longrunning",
        "resources.run",
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {modules}: importlib.import_module('airflow_azml.client.' + name)\n"
        "print([name for name in ('requests', 'msal', 'urllib3', 'yaml', 'pathspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
