"""The hook: from an Airflow connection to a client that talks to a real emulator."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.client.transport.errors import InputError
from airflow_azml.hooks import connection as connections
from airflow_azml.hooks.azureml import AzureMLHook


@pytest.fixture
def masked(monkeypatch):
    """What Airflow was asked to mask."""
    seen = []
    monkeypatch.setattr("airflow_azml.hooks.azureml.mask_secret", seen.append)
    return seen


@pytest.fixture
def connect(emulator, monkeypatch):
    """Make a hook of a connection to the emulator with changes; its client is its own."""
    monkeypatch.setattr(connections, "_clients", {})

    def connect(**changes):
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", emulator.connection(**changes))
        return AzureMLHook()

    return connect


def test_the_client_signs_in_and_talks_to_the_workspace(connect):
    """Over TLS and with a token of the token endpoint: the real path, no bypass."""
    client = connect().get_conn()
    assert client.routing.location == "eastus"
    assert client.transport.cloud.arm.startswith("https://127.0.0.1:")
    assert list(client.computes.list()) == []


def test_test_connection_says_what_was_found(connect):
    """The button in the UI shows who signed in where, and how far the way is open."""
    works, said = connect().test_connection()
    assert works, said
    assert said.startswith("token: signed in at 127.0.0.1 as client id local")
    assert "regional API: the run history answers" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wr0ng-secret"}, "AADSTS7000215"),
        ({"workspace_name": "locla"}, "workspace 'locla' in resource group 'local'"),
        ({"cloud": "AzureClod"}, "cloud 'AzureClod': must be one of AzureCloud"),
        ({"api": "v3"}, "api 'v3': must be 'v1' or 'v2'"),
        ({"namespace": "team a"}, "namespace 'team a': must be at most 64 letters, digits, '-', '_' or '.'"),
        ({"authority_url": "http://login.example"}, "'http://login.example': must be an https URL"),
        ({"ca_bundle": "/nowhere/ca.pem"}, "ca_bundle '/nowhere/ca.pem' is no file on this machine"),
        ({"resource_group": "", "tenant_id": None}, "'resource_group', 'tenant_id' missing"),
        ({"cloud": ["AzureCloud"]}, "cloud \"['AzureCloud']\": must be one of AzureCloud"),
    ],
)
def test_test_connection_says_what_is_wrong(connect, changes, said):
    """Never a traceback, never a secret."""
    works, text = connect(**changes).test_connection()
    assert not works
    assert said in text
    assert "wr0ng-secret" not in text


def test_every_secret_is_masked_where_it_is_born(connect, masked):
    """The token the moment it is fetched, the keys of an endpoint when they are read."""
    hook = connect()
    client = hook.client
    list(client.computes.list())
    client.endpoints.ensure("masked")
    keys = client.endpoints.keys("masked")
    token = client.transport.tokens.token(client.cloud.arm_scope)
    assert [secret for secret in (token, keys.primary, keys.secondary) if secret not in masked] == []
    client.endpoints.delete("masked")


def test_a_token_in_the_connection_is_masked_and_used(connect, emulator, masked):
    """It takes the place of client id and secret."""
    client = connect(token=emulator.token, login=None, password=None, tenant_id=None).client
    assert isinstance(client.transport.tokens, StaticToken)
    assert list(client.computes.list()) == []
    assert emulator.token in masked


def test_clients_are_shared_within_a_process(connect):
    """A thousand tasks of a triggerer fetch one token; another workspace is another client."""
    client = connect().client
    assert AzureMLHook().client is client
    assert connect(namespace="prod").client is client
    assert connect(workspace_name="other").client is not client


def test_a_triggerer_finds_its_connection_without_blocking_its_loop(connect):
    """Inside an event loop the asynchronous lookup leads to the same client."""
    hook = connect()
    assert asyncio.run(AzureMLHook.aclient("azureml_default")) is hook.client


def test_a_connection_that_is_not_there_is_airflows_error():
    """Its name is in the message."""
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        AzureMLHook("nowhere").get_conn()


def test_a_connection_may_be_written_as_a_uri(connect, emulator, monkeypatch):
    """Airflow's other spelling of a connection gives the same settings."""
    hook = connect()
    values = json.loads(emulator.connection())
    uri = hook.get_connection("azureml_default").get_uri()
    assert uri.startswith("azureml://local:")
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", uri)
    again = AzureMLHook().client
    assert again is hook.client
    assert again.workspace.name == values["extra"]["workspace_name"]


def test_bad_settings_are_an_input_error(connect):
    """Tasks fail at once on it."""
    with pytest.raises(InputError, match="'subscription_id' missing"):
        connect(subscription_id="").get_conn()
