"""What a subscription holds: resource groups, and workspaces by subscription or resource group; and new workspaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from airflow_azml.client import api_versions
from airflow_azml.client.lifecycle import Observation
from airflow_azml.client.merging import differences, refuse
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport.longrunning import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_azml.client.lifecycle import Target


class Subscription(Value, frozen=True):
    """An Azure subscription that the credential may see.

    :param state: Enabled, Disabled, Warned, PastDue or Deleted.
    """

    id: str = msgspec.field(default="", name="subscriptionId")
    name: str = msgspec.field(default="", name="displayName")
    state: str = ""


class ResourceGroup(Value, frozen=True):
    """A resource group of a subscription."""

    name: str = ""
    location: str = ""
    tags: Mapping[str, str] = {}


class WorkspaceInfo(Value, frozen=True):
    """A workspace as Resource Manager describes it.

    :param id: its ARM id.
    :param discovery_url: where its regional host is asked for.
    """

    levels = 1
    id: str = ""
    name: str = ""
    location: str = ""
    provisioning_state: str = "Unknown"
    discovery_url: str = ""

    @property
    def workspace(self) -> Workspace:
        """Its three names."""
        # /subscriptions/{id}/resourceGroups/{name}/providers/...; Resource Manager varies the case of the fixed words.
        _, _, subscription, _, group, *_ = [*self.id.split("/"), "", "", "", "", ""]
        return Workspace(subscription if group else "", group, self.name)


class Workspaces(Resource):
    """List what there is, from the subscription down. The name of a target is the ARM id of its workspace."""

    kind = "workspaces"
    names = ("workspace_id",)
    facts = ("workspace_name", "location")

    def subscriptions(self) -> Iterator[Subscription]:
        """Yield the subscriptions in which the credential has any right."""
        return map(Subscription.of, self._list("/subscriptions", "list subscriptions", api_versions.SUBSCRIPTIONS))

    def resource_groups(self, subscription_id: str) -> Iterator[ResourceGroup]:
        """Yield the resource groups of a subscription that the credential may see."""
        path = f"/subscriptions/{quote(subscription_id, safe='')}/resourcegroups"
        return map(ResourceGroup.of, self._list(path, "list resource groups", api_versions.RESOURCES))

    def list(self, subscription_id: str, resource_group: str | None = None) -> Iterator[WorkspaceInfo]:
        """Yield the workspaces of a subscription, or of one of its resource groups."""
        group = f"/resourceGroups/{quote(resource_group, safe='')}" if resource_group else ""
        provider = "/providers/Microsoft.MachineLearningServices/workspaces"
        path = f"/subscriptions/{quote(subscription_id, safe='')}{group}{provider}"
        return map(WorkspaceInfo.of, self._list(path, "list workspaces", api_versions.CLASSIC))

    def create(self, workspace: Workspace, spec: Json) -> Target:
        """Create a workspace; the four resources that it needs must exist.

        One that exists as the spec has it is left alone. When it exists and differs: ConflictError, for a PUT would
        replace it.

        :param spec: the resource's JSON: ``location``, ``identity``, and ``properties`` with the ids of
            ``storageAccount``, ``keyVault``, ``applicationInsights`` and ``containerRegistry``.
        """
        url, target = f"{self.http.cloud.arm}{workspace.arm_path}", self.target(workspace.arm_id)
        if there := self.found(url, api_versions.CLASSIC):
            refuse(f"workspace {workspace.name}", differences(there, spec))
            return target
        response = self.http.request("PUT", url, operation="create workspace", params=api_versions.CLASSIC, json=spec)
        return replace(target, operation=Operation.started_by(response))

    def observe(self, target: Target) -> Observation:
        """Return the state of its provisioning."""
        return Observation.of(self.statuses, self._info(target).provisioning_state)

    def page(self, target: Target) -> str:  # noqa: ARG002 - there is one home for all
        """Return the path of the home page of Azure ML studio."""
        return "/home"

    def result(self, target: Target) -> dict[str, Any]:
        """Return its id, name, location and state."""
        info = self._info(target)
        return {
            "workspace_id": info.id,
            "workspace_name": info.name,
            "location": info.location,
            "provisioning_state": info.provisioning_state,
        }

    def _info(self, target: Target) -> WorkspaceInfo:
        workspace = WorkspaceInfo(id=target.name, name=target.name.rpartition("/")[2]).workspace
        return WorkspaceInfo.of(self.read(f"{self.http.cloud.arm}{workspace.arm_path}", api_versions.CLASSIC))

    def _list(self, path: str, operation: str, version: Json) -> Iterator[dict[str, Any]]:
        return self.http.pages("GET", f"{self.http.cloud.arm}{path}", operation=operation, params=version)
