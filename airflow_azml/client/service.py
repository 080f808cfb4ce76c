"""What every resource file needs: the transport, the workspace's addresses, and creating a thing once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from airflow_azml.client.transport.errors import (
    AzureMLError,
    ConflictError,
    ConnectionFailedError,
    InputError,
    InvalidRequestError,
    ServiceError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.client.transport.http import Transport
    from airflow_azml.client.workspace import Routing, Workspace

T = TypeVar("T")
# After one of these nobody knows whether a POST was obeyed: the answer was lost, or says that the thing is there
# already.
_DOUBTFUL = (ConnectionFailedError, ServiceError, ThrottledError, ConflictError, InvalidRequestError)


class Service:
    """Base of the resources.

    :param transport: sends.
    :param workspace: of which the resource is a part.
    :param routing: where the workspace's regional data plane is.
    """

    def __init__(self, transport: Transport, workspace: Workspace, routing: Routing) -> None:
        self.http = transport
        self.workspace = workspace
        self.routing = routing

    def arm(self, *segments: str) -> str:
        """Return an address below the workspace in Azure Resource Manager."""
        return f"{self.http.cloud.arm}{self.workspace.arm_path}{path_of(segments)}"

    def regional(self, service: str, *segments: str) -> str:
        """Return an address below the workspace in a regional service such as ``history/v1.0``."""
        return f"{self.routing.regional}/{service}{self.workspace.arm_path}{path_of(segments)}"

    def once(self, create: Callable[[], T], find: Callable[[], T | None]) -> T:
        """Create a thing by a POST that must not be obeyed twice.

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


def _may_pass(error: AzureMLError) -> bool:
    """Say whether seconds may mend it; they do not mend a quota, which is a refusal that is not permanent."""
    return not error.permanent and not isinstance(error, InvalidRequestError)


def path_of(segments: tuple[str, ...]) -> str:
    """Join path segments, each quoted: a name never adds a level, and never takes one away."""
    for segment in segments:
        if not isinstance(segment, str) or segment.strip() in {"", ".", ".."}:
            raise InputError("name", segment, "must be the name of one thing")
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)
