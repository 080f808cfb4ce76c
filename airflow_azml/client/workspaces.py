"""What a subscription holds: resource groups, and workspaces by subscription or resource group; and new workspaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_azml.client import versions
from airflow_azml.client.merging import differences, refuse
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_azml.client.transport.http import Transport


@dataclass(frozen=True, slots=True)
class Subscription:
    """An Azure subscription that the credential may see.

    :param state: Enabled, Disabled, Warned, PastDue or Deleted.
    """

    id: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """A resource group of a subscription."""

    name: str
    location: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WorkspaceInfo:
    """A workspace as Resource Manager describes it.

    :param workspace: its three names.
    :param discovery_url: where its regional host is asked for.
    :param raw: the answer's JSON.
    """

    workspace: Workspace
    location: str
    provisioning_state: str
    discovery_url: str
    raw: Mapping[str, Any]


class Workspaces:
    """List what there is, from the subscription down.

    :param transport: sends.
    """

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def subscriptions(self) -> Iterator[Subscription]:
        """Yield the subscriptions in which the credential has any right."""
        for row in self._list("/subscriptions", "list subscriptions", versions.SUBSCRIPTIONS):
            yield Subscription(
                str(row.get("subscriptionId") or ""), str(row.get("displayName") or ""), str(row.get("state") or "")
            )

    def resource_groups(self, subscription_id: str) -> Iterator[ResourceGroup]:
        """Yield the resource groups of a subscription that the credential may see."""
        path = f"/subscriptions/{quote(subscription_id, safe='')}/resourcegroups"
        for row in self._list(path, "list resource groups", versions.RESOURCES):
            yield ResourceGroup(str(row.get("name") or ""), str(row.get("location") or ""), row.get("tags") or {})

    def list(self, subscription_id: str, resource_group: str | None = None) -> Iterator[WorkspaceInfo]:
        """Yield the workspaces of a subscription, or of one of its resource groups."""
        group = f"/resourceGroups/{quote(resource_group, safe='')}" if resource_group else ""
        provider = "/providers/Microsoft.MachineLearningServices/workspaces"
        path = f"/subscriptions/{quote(subscription_id, safe='')}{group}{provider}"
        return (_info(row) for row in self._list(path, "list workspaces", versions.CLASSIC))

    def create(self, workspace: Workspace, spec: Mapping[str, Any]) -> Operation | None:
        """Create a workspace; the four resources that it needs must exist.

        None when it exists as the spec has it, ConflictError when it exists and differs: a PUT would replace it.

        :param spec: the resource's JSON: ``location``, ``identity``, and ``properties`` with the ids of
            ``storageAccount``, ``keyVault``, ``applicationInsights`` and ``containerRegistry``.
        """
        url = f"{self._http.cloud.arm}{workspace.arm_path}"
        there = self._http.request("GET", url, operation="get workspace", params=versions.CLASSIC, allow=(404,))
        if there.ok:
            refuse(f"workspace {workspace.name}", differences(there.json(), spec))
            return None
        response = self._http.request("PUT", url, operation="create workspace", params=versions.CLASSIC, json=spec)
        return Operation.started_by(response)

    def _list(self, path: str, operation: str, version: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        return self._http.pages("GET", f"{self._http.cloud.arm}{path}", operation=operation, params=version)


def _info(row: Mapping[str, Any]) -> WorkspaceInfo:
    inner: Mapping[str, Any] = row.get("properties") or {}
    # /subscriptions/{id}/resourceGroups/{name}/providers/...; Resource Manager varies the case of the fixed words.
    parts = str(row.get("id") or "").split("/")
    group = parts[4] if len(parts) > 4 else ""  # noqa: PLR2004 - see above
    return WorkspaceInfo(
        workspace=Workspace(parts[2] if group else "", group, str(row.get("name") or "")),
        location=str(row.get("location") or ""),
        provisioning_state=str(inner.get("provisioningState") or "Unknown"),
        discovery_url=str(inner.get("discoveryUrl") or ""),
        raw=row,
    )
