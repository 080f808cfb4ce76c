"""The one object that a user holds: a workspace, a credential, and the resources below them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from airflow_azml.client.artifacts import Artifacts
from airflow_azml.client.codes import Codes
from airflow_azml.client.computes import Computes
from airflow_azml.client.datastores import Datastores
from airflow_azml.client.deployments import Deployments
from airflow_azml.client.endpoints import Endpoints
from airflow_azml.client.environments import Environments
from airflow_azml.client.experiments import Experiments
from airflow_azml.client.models_arm import ArmModels
from airflow_azml.client.models_management import ModelManagementModels
from airflow_azml.client.runs import Runs
from airflow_azml.client.snapshots import Snapshots
from airflow_azml.client.transport.clouds import CLOUDS
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.transport.http import Transport
from airflow_azml.client.workspace import Routing
from airflow_azml.client.workspaces import Workspaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.models import Models
    from airflow_azml.client.transport.auth import TokenSource
    from airflow_azml.client.transport.clouds import Cloud
    from airflow_azml.client.transport.retries import RetryPolicy
    from airflow_azml.client.workspace import Workspace

Api = Literal["v1", "v2"]


class AzureMLClient:
    """Azure ML, for one workspace and one credential. May be shared by threads.

    It holds connections: close it, or use ``with``.

    :param workspace: which workspace.
    :param tokens: where bearer tokens come from.
    :param cloud: which cloud; the public one by default.
    :param api: which model registry: ``v2`` (ARM) or ``v1`` (the classic model management).
    :param verify: True, or the path of a CA file.
    :param on_secret: called with every secret the moment it is seen.
    :param timeout: (connect, read) seconds.
    :param user_agent: what stands before our own name in ``User-Agent``.
    :param policy: how patiently requests are repeated.
    """

    def __init__(
        self,
        workspace: Workspace,
        tokens: TokenSource,
        cloud: Cloud = CLOUDS["AzureCloud"],
        *,
        api: Api = "v2",
        verify: bool | str = True,
        on_secret: Callable[[str], None] | None = None,
        timeout: tuple[float, float] = (10, 60),
        user_agent: str = "",
        policy: RetryPolicy | None = None,
    ) -> None:
        if api not in {"v1", "v2"}:
            raise InputError("api", api, "must be 'v1' or 'v2'")
        self.workspace = workspace
        self.cloud = cloud
        self.api = api
        self.transport = Transport(
            tokens, cloud, verify=verify, on_secret=on_secret, timeout=timeout, user_agent=user_agent, policy=policy
        )
        self.routing = Routing(self.transport, workspace)
        parts = (self.transport, workspace, self.routing)
        self.workspaces = Workspaces(self.transport)
        self.computes = Computes(*parts)
        self.datastores = Datastores(*parts)
        self.experiments = Experiments(*parts)
        self.snapshots = Snapshots(*parts)
        self.runs = Runs(*parts)
        self.artifacts = Artifacts(*parts)
        self.environments = Environments(*parts)
        self.codes = Codes(*parts)
        self.endpoints = Endpoints(*parts)
        self.deployments = Deployments(*parts)

    @cached_property
    def models(self) -> Models:
        """The registry of the configured generation."""
        kind = ArmModels if self.api == "v2" else ModelManagementModels
        return kind(self.transport, self.workspace, self.routing, self.artifacts)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
