"""What every kind of resource is: its addresses, the steps of its operations, and how it is waited for.

Whatever can be waited for is named by a :class:`Target`, whose kind is the name of the client's attribute. A kind says
how one is looked at (:meth:`Resource.observe`), and where it has them its log, its page in studio and its result.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from airflow_azml.client import api_versions
from airflow_azml.client.lifecycle import GONE, Goal, Observation, Phase, Statuses, Target, singular
from airflow_azml.client.merging import change, merged
from airflow_azml.client.transport.errors import (
    AzureMLError,
    ConflictError,
    ConnectionFailedError,
    InputError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    ThrottledError,
)
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_azml.client.resources.value import Json
    from airflow_azml.client.routing import Routing, Workspace
    from airflow_azml.client.transport.http import Transport

T = TypeVar("T")
R = TypeVar("R", bound="Resource")
Lines = list[str]
# After one of these nobody knows whether a POST was carried out: the answer was lost, or says that the thing is there
# already.
_DOUBTFUL = (ConnectionFailedError, ServiceError, ThrottledError, ConflictError, InvalidRequestError)
_SETTLED_WITHIN = 300.0  # seconds in which something that is being cancelled may end
_SECOND_LOOK = 1.0  # seconds after which something that was not found is looked for once more

OPERATION: Statuses = {"inprogress": Phase.ACTIVE, "failed": Phase.FAILED, "canceled": Phase.CANCELED}
"""The words of a long-running operation, which is followed before its resource is looked at."""
PROVISIONING: Statuses = {
    "unknown": Phase.ACTIVE,
    "creating": Phase.ACTIVE,
    "updating": Phase.ACTIVE,
    "scaling": Phase.ACTIVE,
    "deleting": Phase.ACTIVE,
    "succeeded": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    "canceled": Phase.CANCELED,
}
"""``provisioningState`` of Resource Manager."""


class Resource:
    """Base of all kinds.

    :param transport: sends requests.
    :param workspace: of which the resources are a part.
    :param routing: where the workspace's regional data plane is.
    """

    kind: ClassVar[str] = ""
    """The name of the client's attribute."""
    statuses: ClassVar[Statuses] = PROVISIONING
    """What each status means; the words are in lower case."""
    batches: ClassVar[bool] = False
    """Whether :meth:`look_many` asks for many in one request."""
    cancellable: ClassVar[bool] = False
    """Whether what is under way can be cancelled."""
    names: ClassVar[tuple[str, ...]] = ()
    """The keys in a result for the name of a target and, where it has one, for its parent."""
    state: ClassVar[str] = "provisioning_state"
    """The key for its status; empty where the result has none."""
    facts: ClassVar[tuple[str, ...]] = ()
    """The other keys."""

    def __init__(self, transport: Transport, workspace: Workspace, routing: Routing) -> None:
        self.http = transport
        self.workspace = workspace
        self.routing = routing

    def beside(self, kind: type[R]) -> R:
        """Return the resources of another kind in the same workspace."""
        return kind(self.http, self.workspace, self.routing)

    # --- Addresses ---

    def arm(self, *segments: str) -> str:
        """Return an address below the workspace in Azure Resource Manager."""
        return f"{self.http.cloud.arm}{self.workspace.arm_path}{path_of(segments)}"

    def regional(self, service: str, *segments: str) -> str:
        """Return an address below the workspace in a regional service such as ``history/v1.0``."""
        return f"{self.routing.regional}/{service}{self.workspace.arm_path}{path_of(segments)}"

    # --- What can be waited for ---

    def target(self, name: str, parent: str = "", *, goal: Goal = Goal.SUCCEEDED) -> Target:
        """Name one resource of this kind as something to wait for."""
        return Target(self.kind, name, parent, goal)

    def observe(self, target: Target) -> Observation:
        """Return what the service says about the resource itself; NotFoundError when there is none."""
        raise NotImplementedError

    def look(self, target: Target) -> Observation:
        """Return how a target is now: its long-running operation is followed first, then the resource is looked at.

        Until the operation has ended the resource may still show its old state, and what the operation says about a
        failure counts more than what the resource shows. A target that does not exist is gone; but in a workspace that
        does not exist nothing is gone: a clean-up with a wrong connection would look as if it was done.
        """
        seen = self.tried(target, lambda: self._look(target))
        if isinstance(seen, AzureMLError):
            raise seen
        return seen

    def look_many(self, targets: Iterable[Target]) -> dict[Target, Observation | AzureMLError]:
        """Return how many targets are. One that could not be looked at has its error for an answer."""
        return {target: self.tried(target, partial(self.look, target)) for target in targets}

    @staticmethod
    def tried(target: Target, look: Callable[[], Observation]) -> Observation | AzureMLError:
        """Return what a look saw, or why it saw nothing: an odd answer, or a mistake of ours, concerns one target."""
        try:
            return look()
        except AzureMLError as error:
            return error
        except Exception as error:  # noqa: BLE001 - see above
            failure = ServiceError(f"the answer was not understood: {error!r}", operation=f"look at {target}")
            failure.__cause__ = error
            return failure

    @property
    def batch_size(self) -> int:
        """How many targets :meth:`look_many` can look at in one request."""
        return 1

    def cancel(
        self,
        target: Target,
        *,
        may_appear: float = 0.0,  # noqa: ARG002 - for those that can be cancelled
        check: Callable[[Any], None] | None = None,  # noqa: ARG002 - likewise
    ) -> Observation:
        """Cancel what a target names and return how it is then; most kinds have no cancel and are only looked at.

        :param may_appear: seconds in which something that is not there may still come to be.
        :param check: raises when it must not be cancelled; called with its value before it is.
        """
        return self.look(target)

    def log(self, target: Target, lines: int) -> Lines:  # noqa: ARG002 - for those that have a log
        """Return the last lines of what it has printed; empty where there is no log."""
        return []

    def page(self, target: Target) -> str:
        """Return the path of its page in Azure ML studio."""
        raise NotImplementedError

    def result(self, target: Target) -> dict[str, Any]:
        """Return what is worth knowing about it at the end, as plain JSON."""
        raise NotImplementedError

    @classmethod
    def known(cls, target: Target, seen: Observation | None = None) -> dict[str, Any]:
        """Return the result as far as it is known without asking: all keys, None where nothing is known.

        Of something that was deleted there is only the name.

        :param seen: how it was seen last, if it was.
        """
        facts: dict[str, Any] = dict(zip(cls.names, (target.name, target.parent or None), strict=False))
        if target.goal is not Goal.GONE:
            state = {cls.state: seen.status if seen else None} if cls.state else {}
            facts |= {**state, **dict.fromkeys(cls.facts)}
        return facts

    def reason(self, target: Target, observation: Observation) -> Reason:
        """Return why it failed, if the service tells: endpoints and deployments keep it only in the operation."""
        error = target.operation.poll(self.http).error if target.operation else None
        if error is None:
            return Reason(message=observation.detail)
        return Reason(error.code, error.message, error.details, error.request_id)

    def settled(self, target: Target) -> Observation:
        """Wait until something that is being cancelled has ended; return how it is then, or after five minutes."""
        deadline = time.monotonic() + _SETTLED_WITHIN
        while (seen := self.look(target)).phase is Phase.CANCELING and time.monotonic() < deadline:
            self.http.pause(2.0)
        return seen

    def _look(self, target: Target) -> Observation:
        if target.operation and (news := self._follow(target.operation)):
            return news
        seen = self._observed(target)
        if target.goal is Goal.GONE and target.operation and seen is not GONE:
            return Observation(Phase.ACTIVE, seen.status)  # it is shown in its last state, which may be Failed
        return seen

    def _follow(self, operation: Operation) -> Observation | None:
        """Return how the operation is; None when only the resource can tell: it has ended well, or is not known."""
        state = operation.poll(self.http)
        if state.error:
            return Observation.of(OPERATION, state.status, Reason(state.error.code, state.error.message).text)
        return None if state.done else Observation.of(OPERATION, state.status)

    def _observed(self, target: Target) -> Observation:
        """Look, and look again at what has to be there and was not found: a service may err once."""
        try:
            return self.observe(target)
        except NotFoundError:
            self.routing.require()
        if target.goal in {Goal.SUCCEEDED, Goal.STOPPED}:
            self.http.pause(_SECOND_LOOK)
            with suppress(NotFoundError):
                return self.observe(target)
        return GONE

    # --- Steps of operations ---

    def read(self, url: str, params: Json = api_versions.ASSETS) -> dict[str, Any]:
        """GET one resource; NotFoundError when there is none."""
        answer: dict[str, Any] = self.http.json("GET", url, operation=f"get {singular(self.kind)}", params=params)
        return answer

    def rows(self, url: str, params: Json = api_versions.ASSETS) -> Iterator[dict[str, Any]]:
        """GET a list, page by page."""
        return self.http.pages("GET", url, operation=f"list {self.kind.replace('_', ' ')}", params=params)

    def found(self, url: str, params: Json = api_versions.ASSETS) -> dict[str, Any] | None:
        """GET one resource, or return None when there is none."""
        try:
            return self.read(url, params)
        except NotFoundError:
            return None

    def apply(
        self, target: Target, url: str, there: Json | None, wanted: Json, *, new: Json, fixed: tuple[str, ...] = ()
    ) -> Target:
        """Create a resource of Resource Manager, or change what differs; nothing is sent when nothing differs.

        :param there: the resource as it was found; None when there is none.
        :param wanted: what the caller names of it; whatever else there is stays as it is.
        :param new: what a new one has unless something else is wanted.
        :param fixed: paths of members that only a new one can have otherwise.
        """
        verb, body = "update", _changed(target, there, wanted, fixed) if there else None
        if there is None:
            verb, body = "create", merged({"location": self.routing.location, **new}, wanted)
        if body is None:
            return target
        operation = f"{verb} {singular(self.kind)}"
        response = self.http.request("PUT", url, operation=operation, params=api_versions.ASSETS, json=body)
        return replace(target, operation=Operation.started_by(response))

    def deleted(self, target: Target, url: str, params: Json) -> Target:
        """Delete a resource and return what to wait for; one that does not exist is fine."""
        operation = f"delete {singular(self.kind)}"
        response = self.http.request("DELETE", url, operation=operation, params=params, allow=(404,))
        gone = response.status_code in {204, 404}
        return replace(target, goal=Goal.GONE, operation=None if gone else Operation.started_by(response))

    def once(self, create: Callable[[], T], find: Callable[[], T | None]) -> T:
        """Create a thing by a POST that must not be carried out twice.

        :param create: sends the POST once (``retry="never"``).
        :param find: looks whether the thing is there: asked after every doubtful failure, before another POST.
        """
        absent: list[AzureMLError] = []

        def create_or_find() -> T:
            try:
                return create()
            except _DOUBTFUL as error:
                found = find()
                if found is not None:
                    return found
                absent.append(error)
                raise

        # Not after an error of find(): nobody knows then whether the thing is there.
        return self.http.repeat(create_or_find, lambda error: error in absent and _may_pass(error))


def _changed(target: Target, there: Json, wanted: Json, fixed: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what to send so that it is as wanted. None when it is so already, unless it has failed."""
    state = str((there.get("properties") or {}).get("provisioningState"))
    broken = Observation.of(PROVISIONING, state).phase.failed
    return change(there, wanted, what=str(target), fixed=fixed, again=broken)


def path_of(segments: tuple[str, ...]) -> str:
    """Join path segments, each quoted: a name never adds a level, and never takes one away."""
    for segment in segments:
        if not isinstance(segment, str) or segment.strip() in {"", ".", ".."}:
            raise InputError("name", segment, "must be the name of one thing")
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def _may_pass(error: AzureMLError) -> bool:
    """Say whether seconds may mend it; they do not mend a quota, which is a refusal that is not permanent."""
    return not error.permanent and not isinstance(error, InvalidRequestError)
