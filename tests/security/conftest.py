"""A client on real sockets that trusts one server and may be led to another."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from security_servers import TOKEN, FakeAzure, Stranger, running

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.routing import Routing, Workspace
from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.client.transport.clouds import custom_cloud
from airflow_azml.client.transport.retries import RetryPolicy

TRUSTED = "azure.test"


@pytest.fixture
def azure() -> Iterator[FakeAzure]:
    """The Azure ML of the test."""
    with running(FakeAzure()) as server:
        yield server


@pytest.fixture
def stranger(monkeypatch) -> Iterator[Stranger]:
    """Somebody else's server. Every name in `.test` leads there: only the client's own refusal keeps it from going."""
    resolve = socket.getaddrinfo

    def redirected(host, *rest, **more):
        return resolve("127.0.0.2" if str(host).endswith(".test") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", redirected)
    with running(Stranger()) as server:
        yield server


@pytest.fixture
def client(azure) -> Iterator[AzureMLClient]:
    """A client of a cloud that consists of `azure` and of `azure.test`, which is to be reached by https only."""
    cloud = custom_cloud(login=azure.url, arm=azure.url, trusted_hosts=(TRUSTED,))
    Routing.forget()
    made = AzureMLClient(Workspace("s", "g", "w"), StaticToken(TOKEN), cloud, policy=RetryPolicy(tries=1))
    yield made
    made.close()
    Routing.forget()


@pytest.fixture(
    params=[
        "http://127.0.0.2:{port}",
        "https://evil.test:{port}",
        "http://azure.test:{port}",
        "http://127.0.0.1@127.0.0.2:{port}",
        "http://127.0.0.2:{port}\\@127.0.0.1",
        "https://azure.test.evil.test:{port}",
        "https://notazure.test:{port}",
        "//127.0.0.2:{port}",
        "ftp://127.0.0.1:{port}",
    ],
    ids=["host", "name", "http", "user", "backslash", "suffix", "prefix", "no scheme", "scheme"],
)
def foreign(request, stranger) -> str:
    """An address that is not Azure's, written in one of the ways in which one may try."""
    return request.param.format(port=stranger.port)
