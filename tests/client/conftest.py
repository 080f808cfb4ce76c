"""Fixtures of the client's tests: a client whose every request is answered by requests-mock, and that never sleeps."""

from __future__ import annotations

import pytest
from client_support import ARM, REGION, WORKSPACE

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.routing import Routing, Workspace
from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.client.transport.clouds import CLOUDS


@pytest.fixture(autouse=True)
def _forget_routes():
    Routing.forget()
    yield
    Routing.forget()


@pytest.fixture
def secrets():
    """What the client has reported as secret."""
    return []


@pytest.fixture
def make_client(requests_mock, secrets):
    """Make a client whose workspace routes to REGION."""
    requests_mock.get(f"{ARM}?api-version=2019-11-01", json=WORKSPACE)
    requests_mock.get(f"{REGION}/discovery", json={"api": f"{REGION}/"})
    made = []

    def make(**options):
        options = {"on_secret": secrets.append, **options}
        client = AzureMLClient(Workspace("s", "g", "w"), StaticToken("t0ken-t0ken"), CLOUDS["AzureCloud"], **options)
        client.slept = []
        client.transport._sleep = client.slept.append
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client):
    """A client of the v2 registry."""
    return make_client()
