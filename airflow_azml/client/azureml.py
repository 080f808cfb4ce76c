"""The one object that a user holds: a workspace, a credential, and one attribute for each kind of resource.

The attributes are the registry of kinds: the kind of a :class:`~airflow_azml.client.lifecycle.Target` is the name of
the attribute that looks at it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from airflow_azml.client import nearest
from airflow_azml.client.lifecycle import Goal, Phase
from airflow_azml.client.resources.artifact import Artifacts
from airflow_azml.client.resources.classic_model import ClassicModels
from airflow_azml.client.resources.code_asset import CodeAssets
from airflow_azml.client.resources.compute import Computes
from airflow_azml.client.resources.compute_instance import ComputeInstances
from airflow_azml.client.resources.datastore import Datastores
from airflow_azml.client.resources.deployment import Deployments
from airflow_azml.client.resources.endpoint import Endpoints
from airflow_azml.client.resources.environment import Environments
from airflow_azml.client.resources.experiment import Experiments
from airflow_azml.client.resources.metric import Metrics
from airflow_azml.client.resources.model import Models
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.run import Runs
from airflow_azml.client.resources.run_log import RunLogs
from airflow_azml.client.resources.snapshot import Snapshots
from airflow_azml.client.resources.workspace import Workspaces
from airflow_azml.client.routing import Routing
from airflow_azml.client.transport.causes import Cause
from airflow_azml.client.transport.clouds import CLOUDS
from airflow_azml.client.transport.errors import AzureMLError, InputError, OperationFailedError
from airflow_azml.client.transport.http import Transport
from airflow_azml.client.transport.plain_json import storable
from airflow_azml.client.transport.reasons import Reason
from airflow_azml.client.transport.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_azml.client.lifecycle import Observation, Target
    from airflow_azml.client.routing import Workspace
    from airflow_azml.client.transport.auth import TokenSource
    from airflow_azml.client.transport.clouds import Cloud
    from airflow_azml.client.transport.retries import RetryPolicy

Api = Literal["v1", "v2"]
R = TypeVar("R", bound=Resource)
log = logging.getLogger(__name__)
LOG_LINES = 50
# The first line of a Python traceback and its frames, whose lines are indented.
_FRAMES = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t]+.*\n)*")


class Kind(Generic[R]):
    """An attribute of the client: the resources of a kind, or, of the client's class, the class of the resources.

    :param resource: their class.
    :param classic: the class for API ``v1``, if that is another.
    """

    def __init__(self, resource: type[R], classic: type[R] | None = None) -> None:
        self._resource = resource
        self._classic = classic or resource

    @overload
    def __get__(self, client: None, owner: type) -> type[R]: ...

    @overload
    def __get__(self, client: AzureMLClient, owner: type) -> R: ...

    def __get__(self, client: AzureMLClient | None, owner: type) -> R | type[R]:
        if client is None:
            return self._resource
        kind = self._classic if client.api == "v1" else self._resource
        made = kind(client.transport, client.workspace, client.routing)
        vars(client)[made.kind] = made  # where it is found the next time
        return made


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

    workspaces = Kind(Workspaces)
    computes = Kind(Computes)
    compute_instances = Kind(ComputeInstances)
    datastores = Kind(Datastores)
    experiments = Kind(Experiments)
    snapshots = Kind(Snapshots)
    runs = Kind(Runs)
    logs = Kind(RunLogs)
    metrics = Kind(Metrics)
    artifacts = Kind(Artifacts)
    environments = Kind(Environments)
    code_assets = Kind(CodeAssets)
    models = Kind(Models, ClassicModels)
    endpoints = Kind(Endpoints)
    deployments = Kind(Deployments)

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

    @classmethod
    def kind_of(cls, target: Target) -> type[Resource]:
        """Return the class of a target's kind."""
        kind = getattr(cls, target.kind, None)
        if isinstance(kind, type) and issubclass(kind, Resource):
            return kind
        raise InputError("kind", target.kind, "is no kind of resource of this client")

    def of(self, target: Target) -> Resource:
        """Return the resources of a target's kind."""
        self.kind_of(target)
        resource: Resource = getattr(self, target.kind)
        return resource

    def look(self, target: Target) -> Observation:
        """Ask the service how a target is; one that does not exist is gone."""
        return self.of(target).look(target)

    def cancel(self, target: Target, **how: Any) -> Observation:
        """Cancel a target and return how it is then; see :meth:`.resources.resource.Resource.cancel`."""
        return self.of(target).cancel(target, **how)

    def result(self, target: Target, seen: Observation, **how: Any) -> dict[str, Any]:
        """Return what is worth knowing about something that has ended well, as JSON that any database can keep.

        What cannot be read now is None: it has ended well, and nothing on our side may fail it.

        :param seen: how it was seen last.
        :param how: what the result of its kind takes, such as which metrics of a run.
        """
        kind = self.of(target)
        facts = kind.known(target, seen)
        if target.goal is not Goal.GONE:
            try:
                facts = kind.result(target, **how)
            except Exception as error:  # noqa: BLE001 - see above
                log.warning("%s: it is %s, but what else is known could not be read: %s", target, seen.status, error)
        plain: dict[str, Any] = storable(facts)
        return plain

    def studio_url(self, target: Target) -> str:
        """Return the address of a target's page in Azure ML studio."""
        return self.workspace.studio_url(self.of(target).page(target), studio=self.cloud.studio)

    def log(self, target: Target, lines: int = LOG_LINES) -> list[str]:
        """Return the last lines of what a target has printed; a line that says why when they cannot be read."""
        try:
            return self.of(target).log(target, lines)
        except AzureMLError as error:
            return [f"(the log could not be read: {error})"]

    def explain(self, target: Target, observation: Observation, *, streamed: bool = False) -> OperationFailedError:
        """Build the error of a target that failed: the service's reason, where to see it, the last lines of its log.

        :param streamed: whether its log was shown already: then neither its lines nor a traceback are repeated.
        """
        absent = "it does not exist" if observation.phase is Phase.GONE else "the service gives no reason"
        reason = self._reason(target, observation)
        said = (_FRAMES.sub("", reason.text) if streamed else reason.text) or absent
        return OperationFailedError(
            "\n".join([said, *self._where(target, observation, streamed=streamed)]),
            operation=str(target),
            code=observation.status,
            request_id=reason.request_id,
            cause=reason.cause if observation.phase is Phase.FAILED else Cause.UNKNOWN,
        )

    def suggest(self, error: AzureMLError) -> None:
        """Add to an error about something that does not exist the names that were probably meant."""
        names = nearest.nearest(self.transport, self.workspace, error) if nearest.may_name(error) else ""
        if names not in error.remedy:
            error.remedy = f"{error.remedy} {names}".strip()

    def overdue(self, target: Target, limit: str, observation: Observation, *, streamed: bool = False) -> str:
        """Say about a target that has passed a limit how it is, where to see it, and what its log says last.

        :param streamed: whether its log was shown already.
        """
        said = f"{target} {limit}; it is {observation.status} now"
        return redact("\n".join([said, *self._where(target, observation, streamed=streamed)]))

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _where(self, target: Target, observation: Observation, *, streamed: bool) -> Iterator[str]:
        """Yield where to see the target and, if there is a log that was not shown yet, its last lines."""
        yield f"See {self.studio_url(target)}"
        lines = self.log(target) if observation.phase is not Phase.GONE and not streamed else []
        if lines:
            yield "\n".join([f"Last {len(lines)} lines of its log:", *lines])

    def _reason(self, target: Target, observation: Observation) -> Reason:
        try:
            return self.of(target).reason(target, observation)
        except AzureMLError as unreadable:
            return Reason(message=observation.detail or f"(the reason could not be read: {unreadable})")
