"""Where a long-running operation can be looked at: the headers of the answer that began it.

Computes have a status only. Endpoints and deployments have a status and a result, and the ids of their operations
begin with what they belong to, as in `oeidp:{workspace id}:{operation id}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.facts import Pace

API_VERSION = "2023-10-01"
ENDPOINT, DEPLOYMENT = "oeidp", "odidp"  # what the ids of their operations begin with
TIMEOUT = {"x-ms-async-operation-timeout": "PT30M"}


@dataclass(frozen=True, slots=True)
class OperationHeaders:
    """Renders these headers.

    :param base: the address that the caller used.
    :param pace: says how many seconds clients are asked to wait between two looks, if they are.
    """

    base: str
    pace: Pace

    def compute(self, operation_id: str) -> dict[str, str]:
        """Return the headers of an answer that began an operation on a compute."""
        status = self._url("computeOperationsStatus", operation_id)
        return {"Azure-AsyncOperation": f"{status}&service=new", **self.wait()}

    def status(self, operation_id: str, prefix: str) -> dict[str, str]:
        """Return the address of the status of an operation on an endpoint or a deployment, and its time limit."""
        url = self._url("mfeOperationsStatus", _prefixed(operation_id, prefix))
        return {"Azure-AsyncOperation": url, **TIMEOUT, **self.wait()}

    def result(self, operation_id: str, prefix: str) -> dict[str, str]:
        """Return the address of the result of an operation on an endpoint or a deployment."""
        return {"Location": self._url("mfeOperationResults", _prefixed(operation_id, prefix)), **self.wait()}

    def resource(self, resource_id: str) -> dict[str, str]:
        """Return the address of a resource that is new, or is being made."""
        return {"Location": f"{self.base}{resource_id}?api-version={API_VERSION}"}

    def wait(self) -> dict[str, str]:
        """Return the header that says when to look again; nothing at the speed of the service, which never sends it."""
        return {} if self.pace.retry_after is None else {"Retry-After": str(self.pace.retry_after)}

    def _url(self, collection: str, operation_id: str) -> str:
        provider = f"/subscriptions/{facts.SUBSCRIPTION}/providers/Microsoft.MachineLearningServices"
        address = f"{self.base}{provider}/locations/{facts.LOCATION}/{collection}/{operation_id}"
        return f"{address}?api-version={API_VERSION}"


def _prefixed(operation_id: str, prefix: str) -> str:
    return f"{prefix}:{facts.WORKSPACE_ID}:{operation_id}"


async def _headers(base: Base, pace: Engine[Pace]) -> OperationHeaders:
    return OperationHeaders(base, pace)


Headers = Annotated[OperationHeaders, Depends(_headers)]
