"""An Airflow connection as settings: which credential is chosen, and everything that is wrong with it at once."""

from __future__ import annotations

import pytest

from airflow_azml.client.transport import auth, credentials
from airflow_azml.client.transport.errors import InputError
from airflow_azml.hooks.connection import AUTO, CREDENTIALS, FIELDS, Settings
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
        ("password", "credential 'password' must be one of 'auto', 'client_secret'"),
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


def test_the_form_offers_all_that_can_be_read():
    """Every field that the connection understands is in the form, and every credential can be chosen."""
    assert set(CONNECTION_FIELDS) == FIELDS
    assert set(CONNECTION_FIELDS["credential"]["schema"]["enum"]) == {AUTO, *CREDENTIALS, None}


def test_the_form_as_it_opens_changes_nothing():
    """The values that the form shows at first are those that hold when nothing is given."""
    shown = {name: field["schema"].get("default") for name, field in CONNECTION_FIELDS.items()}
    assert {name: value for name, value in shown.items() if value} == {
        "cloud": "AzureCloud",
        "api": "v2",
        "credential": "auto",
    }
    given = {"tenant_id": "t", "certificate": "/c.pem"}
    assert read("id", "", **{**shown, **WORKSPACE, **given}) == read("id", "", **given)
    choices = [field["schema"] for field in CONNECTION_FIELDS.values() if "enum" in field["schema"]]
    assert all(schema["enum"][0] == schema["default"] for schema in choices)


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("workspace", "; did you mean 'workspace_name'?"),
        ("tenantId", "; did you mean 'tenant_id'?"),
        ("extra__azureml__tenant_id", "; did you mean 'tenant_id'?"),
        ("client_secret", "; it belongs into the field password (client secret)"),
        ("xyzzy", ""),
    ],
)
def test_an_unknown_key_is_warned_of_once(caplog, key, advice):
    """It is ignored, for a newer version may know it; the key that was probably meant is named, its value is not."""
    connection, said = f"of {key}", f"unknown extra '{key}' is ignored{advice}"
    for _ in range(2):
        settings = Settings.read(connection, "id", "secret", {**WORKSPACE, "tenant_id": "t", key: "v4lue"})
    assert settings.unknown == (said,)
    assert [record.getMessage() for record in caplog.records] == [f"connection '{connection}': {said}"]
    with pytest.raises(InputError) as caught:
        Settings.read(connection, "id", "", {**WORKSPACE, key: "v4lue"})
    assert said in str(caught.value)
    assert "v4lue" not in str(caught.value) + caplog.text


ID = "/subscriptions/0-1/resourceGroups/mine/providers/Microsoft.MachineLearningServices/workspaces/ws"


@pytest.mark.parametrize(
    ("field", "value", "write"),
    [
        ("workspace_name", ID, "write 'ws'"),
        ("resource_group", ID, "write 'mine'"),
        ("resource_group", "/subscriptions/0-1/resourcegroups/mine", "write 'mine'"),
        ("subscription_id", "/subscriptions/0-1", "write '0-1'"),
        ("workspace_name", "https://ml.azure.com/?wsid=x", "write the name alone"),
    ],
)
def test_a_resource_id_is_no_name(field, value, write):
    """What the portal copies is an id; the error says which part of it is the name."""
    with pytest.raises(InputError) as caught:
        read("id", "secret", tenant_id="t", **{field: value})
    assert f"{field} '{value}': is a resource id or a path, not a name; {write}" in str(caught.value)


def test_a_token_is_given_without_the_word_bearer():
    """It would be sent twice; the token itself is not in the error."""
    with pytest.raises(InputError, match=r"token: begins with 'Bearer '; give the token alone") as caught:
        read(token="bearer eyJ0")
    assert "eyJ0" not in str(caught.value)


def test_links_lead_to_web_pages_only():
    """The studio's address becomes a link in Airflow's UI."""
    custom = {"cloud": "Custom", "authority_url": "https://l", "resource_manager_url": "https://a", "token": "x"}
    assert read(**custom, studio_url="http://127.0.0.1:1").studio_url == "http://127.0.0.1:1"
    with pytest.raises(InputError, match="studio_url 'javascript:x': must be an http or https URL"):
        read(**custom, studio_url="javascript:x")


def test_secrets_are_not_in_the_settings_repr():
    """They may be logged by accident."""
    assert "secret" not in repr(read("id", "secret", tenant_id="t"))
