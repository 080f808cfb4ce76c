"""Where a long-running operation can be looked at: the headers of the answer that began it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.facts import Pace

COMPUTE, MFE = "computeOperation", "mfeOperation"
QUERY = "?api-version=2023-10-01&service=new"


@dataclass(frozen=True, slots=True)
class OperationHeaders:
    """Renders these headers.

    :param base: the address that the caller used.
    :param pace: says how many seconds clients are asked to wait between two looks.
    """

    base: str
    pace: Pace

    def began(self, operation_id: str, family: str, *, location: bool = False) -> dict[str, str]:
        """Return the headers of the answer that began an operation.

        :param family: whose operation it is: COMPUTE or MFE (all other v2 resources).
        :param location: also send `Location` (deletions and v2 resources do).
        """
        provider = f"/subscriptions/{facts.SUBSCRIPTION}/providers/Microsoft.MachineLearningServices"
        root = f"{self.base}{provider}/locations/{facts.LOCATION}/{family}"
        result = {"Location": f"{root}Results/{operation_id}{QUERY}"} if location else {}
        return {
            "Azure-AsyncOperation": f"{root}sStatus/{operation_id}{QUERY}",
            **self.wait(),
            "x-ms-async-operation-timeout": "PT30M",
            **result,
        }

    def wait(self) -> dict[str, str]:
        """Return the header that says when to look again."""
        return {"Retry-After": str(self.pace.retry_after)}


async def _headers(base: Base, pace: Engine[Pace]) -> OperationHeaders:
    return OperationHeaders(base, pace)


Headers = Annotated[OperationHeaders, Depends(_headers)]
