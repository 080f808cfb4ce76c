"""The client against the emulator, in a process of its own and over TLS: two readings of one contract, compared."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from emulator_process import SUBSCRIPTION, TENANT, EmulatorProcess

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.routing import Routing, Workspace
from airflow_azml.client.transport.clouds import custom_cloud
from airflow_azml.client.transport.credentials import ClientSecret


@dataclass(frozen=True)
class Site:
    """A running emulator as the client sees it."""

    emulator: EmulatorProcess

    @property
    def ca(self):
        return str(self.emulator.data / "ca.pem")

    @property
    def cloud(self):
        return custom_cloud(login=self.emulator.tls_url, arm=self.emulator.tls_url)

    def client(self, api="v2", tokens=None, **options):
        tokens = tokens or ClientSecret(TENANT, "local", self.emulator.secret, self.cloud, verify=self.ca)
        workspace = Workspace(SUBSCRIPTION, "local", "local")
        return AzureMLClient(workspace, tokens, self.cloud, api=api, verify=self.ca, **options)


@pytest.fixture
def site(emulator):
    Routing.forget()
    yield Site(emulator)
    Routing.forget()


@pytest.fixture(params=["v1", "v2"])
def azure(site, request):
    """A client of each generation."""
    with site.client(request.param) as client:
        yield client


@pytest.fixture
def azure_v2(site):
    """A client of the v2 registry."""
    with site.client() as client:
        yield client
