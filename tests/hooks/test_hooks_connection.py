"""An Airflow connection as settings: which credential is chosen, and everything that is wrong with it at once."""

from __future__ import annotations

import pytest

from airflow_azml.client.transport import auth, credentials
from airflow_azml.client.transport.errors import InputError
from airflow_azml.hooks.connection import CREDENTIALS, FIELDS, Settings
from airflow_azml.provider_info import CONNECTION_FIELDS

WORKSPACE = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}


def read(login="", password="", **extra):
    return Settings.read("c", login, password, {**WORKSPACE, **extra})


@pytest.mark.parametrize(
    ("login", "password", "extra", "credential", "kind"),
    [
        ("id", "secret", {"tenant_id": "t"}, "client_secret", credentials.ClientSecret),
        ("", "", {"token": "x"}, "token", auth.StaticToken),
        ("id", "", {"tenant_id": "t", "certificate": "/c.pem"}, "client_certificate", credentials.ClientCertificate),
        ("id", "", {"tenant_id": "t", "federated_token_file": "/t"}, "workload_identity", credentials.WorkloadIdentity),
        ("", "", {"credential": "managed_identity"}, "managed_identity", credentials.ManagedIdentity),
        (
            "id",
            "s",
            {"tenant_id": "t", "token": "x", "credential": "client_secret"},
            "client_secret",
            credentials.ClientSecret,
        ),
    ],
)
def test_the_credential_follows_from_what_is_given(login, password, extra, credential, kind):
    """Unless it is named, which always counts."""
    settings = read(login, password, **extra)
    assert settings.credential == credential
    assert type(settings.client(lambda _: None).transport.tokens) is kind


@pytest.mark.parametrize(
    ("credential", "missing"),
    [
        ("client_secret", "'tenant_id', 'login (client ID)', 'password (client secret)' missing"),
        ("client_certificate", "'tenant_id', 'login (client ID)', 'certificate' missing"),
        ("workload_identity", "'tenant_id', 'login (client ID)', 'federated_token_file' missing"),
        ("token", "'token' missing"),
        ("password", "credential 'password' must be one of 'client_secret', 'client_certificate'"),
    ],
)
def test_everything_that_is_missing_is_said_at_once(monkeypatch, credential, missing):
    """Of the workspace, the credential and the cloud."""
    monkeypatch.delenv("AZURE_TENANT_ID", raising=False)
    with pytest.raises(InputError) as caught:
        Settings.read("c", None, None, {"credential": credential, "cloud": "Custom"})
    assert missing.split(" missing")[0] in str(caught.value)
    for name in (*WORKSPACE, "authority_url", "resource_manager_url"):
        assert name in str(caught.value)


def test_a_workload_identity_comes_from_its_pod(monkeypatch):
    """What the connection leaves out is taken from the variables that Kubernetes sets; what it says counts."""
    monkeypatch.setenv("AZURE_TENANT_ID", "env-tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "env-client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/token")
    settings = read("mine", credential="workload_identity")
    assert (settings.tenant_id, settings.client_id, settings.federated_token_file) == (
        "env-tenant",
        "mine",
        "/var/token",
    )
    with pytest.raises(InputError, match="tenant_id"):  # only for this credential
        read("id", "secret")


def test_a_custom_cloud():
    """Its own hosts, audience and studio."""
    settings = read(
        "id", "secret", tenant_id="t", cloud="Custom", authority_url="https://login.x", resource_manager_url="https://arm.x",
        ml_audience="https://ml.x", studio_url="https://studio.x", trusted_hosts="api.x, blob.x ,",
    )  # fmt: skip
    cloud = settings.client(lambda _: None).cloud
    assert (cloud.ml_scope, cloud.studio) == ("https://ml.x/.default", "https://studio.x")
    assert cloud.trusts("https://eastus.api.x/")
    assert not cloud.trusts("https://evil.x/")


def test_cloud_and_api_are_said_with_the_rest():
    """One error has all faults, the connection's id and where to correct them."""
    with pytest.raises(InputError) as caught:
        read("id", "secret", cloud="AzureClod", api="v3")
    said = str(caught.value)
    assert said.startswith("connection 'c': 'tenant_id' missing; ")
    assert "api 'v3': must be 'v1' or 'v2'" in said
    assert "cloud 'AzureClod': must be one of AzureCloud, AzureUSGovernment, AzureChinaCloud or Custom" in said
    assert said.endswith("; correct it under Admin > Connections")


@pytest.mark.parametrize("proof", [{"password": "secret"}, {"certificate": "/c.pem"}, {"federated_token_file": "/t"}])
def test_a_service_principal_signs_in_over_tls(proof):
    """Said before msal refuses it; a token of one's own needs no authority."""
    local = {
        "tenant_id": "t",
        "cloud": "custom",
        "authority_url": "HTTP://127.0.0.1:1",
        "resource_manager_url": "http://127.0.0.1:1",
    }
    with pytest.raises(InputError, match=r"authority_url 'HTTP://127.0.0.1:1': .* msal needs it .*--tls-port"):
        read("id", **proof, **local)
    assert read(token="x", **local).credential == "token"
    with pytest.raises(InputError, match=r"resource_manager_url 'http://arm\.x': must be an https URL"):
        read(token="x", **{**local, "resource_manager_url": "http://arm.x"})


def test_the_form_offers_what_can_be_read():
    """Every field of the form is one that the connection understands, and every credential can be chosen."""
    assert set(CONNECTION_FIELDS) <= FIELDS
    assert set(CREDENTIALS) == set(CONNECTION_FIELDS["credential"]["schema"]["enum"]) - {None}


def test_secrets_are_not_in_the_settings_repr():
    """They may be logged by accident."""
    assert "secret" not in repr(read("id", "secret", tenant_id="t"))
