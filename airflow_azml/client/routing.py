"""The workspace, and its regional host.

:class:`Workspace` is three names and the links into Azure ML studio. :class:`Routing` finds the workspace's regional
host as the service's documentation says: ask ARM for the workspace, ask its discovery URL for the host. The host is
never built from a region's name.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from airflow_azml.client import api_versions
from airflow_azml.client.transport.errors import AzureMLError, NotFoundError, ServiceError, UntrustedHostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.transport.http import Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workspace:
    """An Azure ML workspace by its names.

    :param subscription_id: Azure subscription.
    :param resource_group: resource group in it.
    :param name: workspace in that.
    """

    subscription_id: str
    resource_group: str
    name: str

    @property
    def arm_id(self) -> str:
        """The workspace's ARM id, as it stands in JSON."""
        provider = "providers/Microsoft.MachineLearningServices"
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/{provider}/workspaces/{self.name}"

    @property
    def arm_path(self) -> str:
        """The same as a part of a URL: of ARM's, and of every regional path. A name never adds a level."""
        names = (self.subscription_id, self.resource_group, self.name)
        return Workspace(*(quote(name, safe="") for name in names)).arm_id

    def studio_url(self, page: str = "", *, studio: str = "https://ml.azure.com", tenant_id: str = "") -> str:
        """Return a link into Azure ML studio.

        :param page: path of the page, see :meth:`.resources.resource.Resource.page`; empty for the workspace's home.
        """
        parameters = {"wsid": self.arm_id, **({"tid": tenant_id} if tenant_id else {})}
        query = urlencode(parameters, safe="/", quote_via=quote)
        return f"{studio}{page or '/home'}?{query}"


class Routing:
    """Finds the regional base URL of a workspace; every answer is remembered for the life of the process.

    :param transport: how to ask.
    :param workspace: which workspace.
    """

    _workspaces: ClassVar[dict[tuple[str, str], dict[str, Any]]] = {}
    _hosts: ClassVar[dict[tuple[str, str], str]] = {}
    _lock: ClassVar = threading.RLock()  # see Transport

    def __init__(self, transport: Transport, workspace: Workspace) -> None:
        self._transport = transport
        self._workspace = workspace
        self._key = (transport.cloud.arm, workspace.arm_path.lower())

    @property
    def regional(self) -> str:
        """Base URL of the workspace's data plane, without a trailing slash."""
        return self._once(self._hosts, lambda: self._discover(self.require()))

    @property
    def location(self) -> str:
        """The workspace's Azure region."""
        return str(self.require().get("location") or "")

    def require(self) -> dict[str, Any]:
        """Return the workspace's JSON as it was first seen; NotFoundError when there is no such workspace."""
        return self._once(self._workspaces, self.fetch)

    def fetch(self) -> dict[str, Any]:
        """Ask ARM for the workspace, now, and return its JSON."""
        where = self._workspace
        try:
            answer: dict[str, Any] = self._transport.json(
                "GET",
                f"{self._transport.cloud.arm}{where.arm_path}",
                operation="get workspace",
                params=api_versions.CLASSIC,
            )
        except NotFoundError as error:
            raise NotFoundError(
                f"workspace '{where.name}' in resource group '{where.resource_group}' of subscription "
                f"'{where.subscription_id}': {error.message}",
                operation=error.operation,
                status_code=error.status_code,
                code=error.code,
                request_id=error.request_id,
                url=error.url,
                remedy="Check subscription, resource group and workspace name, and that the credential may read them.",
            ) from error
        return answer

    @classmethod
    def forget(cls) -> None:
        """Forget every route; for tests and for long-lived processes whose workspaces are rebuilt."""
        with cls._lock:
            cls._workspaces.clear()
            cls._hosts.clear()

    def _once(self, known: dict[tuple[str, str], T], find: Callable[[], T]) -> T:
        """Return what is known, else find it out; two threads may both ask, and get the same answer."""
        with self._lock:
            answer = known.get(self._key)
        if answer is None:
            answer = find()
            with self._lock:
                known[self._key] = answer
        return answer

    def _discover(self, workspace: dict[str, Any]) -> str:
        """Ask the discovery URL, without a bearer, for the host; when it does not answer, its own host is the one."""
        url = (workspace.get("properties") or {}).get("discoveryUrl")
        if not url:
            raise ServiceError("the workspace has no discoveryUrl", operation="discover the regional host")
        self._trusted(url)
        try:
            services = self._transport.json("GET", url, operation="discover the regional host", auth=None)
        except AzureMLError:
            services = {}
        parts = urlsplit(url)
        return self._trusted(services.get("api") or f"{parts.scheme}://{parts.netloc}").rstrip("/")

    def _trusted(self, url: str) -> str:
        if not self._transport.cloud.trusts(url):
            raise UntrustedHostError(
                f"discovery names a host that is not of {self._transport.cloud.name}", operation="discovery", url=url
            )
        return url
