"""The emulator within the test's own process, called without a socket, and the client on top of it.

Faster than a process of its own, and an exception of the emulator's is the test's: a traceback instead of a 500.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from emulator_process import SUBSCRIPTION
from requests.adapters import BaseAdapter
from starlette.testclient import TestClient

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.routing import Routing, Workspace
from airflow_azml.client.transport.auth import StaticToken
from airflow_azml.client.transport.clouds import custom_cloud
from airflow_azml.emulator.host.app import create_app
from airflow_azml.emulator.host.emulator import Emulator
from airflow_azml.emulator.host.known_hosts import KnownHosts
from airflow_azml.emulator.kernel import facts

BASE = "https://testserver"
SECRET = "in-process-secret"


@dataclass(frozen=True)
class Exchange:
    """A request as it was sent, and its answer."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: dict[str, str]
    answer: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


@dataclass
class InProcess:
    """A running emulator.

    :param exchanges: everything that its clients have said and heard.
    """

    emulator: Emulator
    http: TestClient
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def token(self) -> str:
        return self.emulator.identity.sign(issuer=BASE, tenant=facts.TENANT, audience=f"{BASE}/")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-Emulator-Control": "1"}

    @contextmanager
    def client(self, api: Any = "v2") -> Iterator[AzureMLClient]:
        """A client that talks to it."""
        workspace = Workspace(SUBSCRIPTION, facts.RESOURCE_GROUP, facts.WORKSPACE)
        Routing.forget()
        with AzureMLClient(workspace, StaticToken(self.token), custom_cloud(login=BASE, arm=BASE), api=api) as client:
            client.transport._session.mount(BASE, _Bridge(self))
            yield client
        Routing.forget()


class _Bridge(BaseAdapter):
    """Takes what requests would send to a socket to the application instead, and keeps both sides."""

    def __init__(self, site: InProcess) -> None:
        super().__init__()
        self._site = site

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b"".join(body)
        headers = dict(request.headers)
        answer = self._site.http.request(str(request.method), str(request.url), content=content, headers=headers)
        self._site.exchanges.append(
            Exchange(
                str(request.method),
                str(request.url),
                headers,
                content,
                answer.status_code,
                dict(answer.headers),
                answer.content,
            )
        )
        response = requests.Response()
        response.request, response.url, response.status_code = request, str(request.url), answer.status_code
        response.headers.update(answer.headers)
        response.encoding = answer.charset_encoding
        response.raw = BytesIO(answer.content)
        return response

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def running(folder: Path) -> Iterator[InProcess]:
    """Start an emulator in which nothing takes time."""
    pace = facts.Pace(tick=0.02, retry_after=0, compute=0, node=0, endpoint=0)
    emulator = Emulator(folder, pace, local_url="http://127.0.0.1:1", client_secret=SECRET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starlette would rather have httpx2
        known = KnownHosts(frozenset({"testserver"}), trust_forwarded=True)
        http = TestClient(create_app(emulator, known), base_url=BASE, follow_redirects=False)
    with http:
        yield InProcess(emulator, http)
