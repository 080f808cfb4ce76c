"""The cause of a failure, which decides whether and when another try can help.

The service has no field for the cause: it has to be read from codes and messages. The table here has the known ones,
each with its source. This module knows no exception and no delay.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Cause(StrEnum):
    """What has to change before another try can end better.

    ``USER``: the request, the script or the rights. ``QUOTA``: somebody must give up, or grant, cores or capacity.
    ``PREEMPTED``: nothing, a low-priority node was taken away. ``THROTTLED``: the rate of requests. ``TRANSIENT``:
    nothing, the service failed. ``UNKNOWN``: nobody has said.
    """

    USER = "user"
    QUOTA = "quota"
    PREEMPTED = "preempted"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"

    @property
    def lacks_capacity(self) -> bool:
        """Whether the request was in order, and only the machines for it are wanting."""
        return self in {Cause.QUOTA, Cause.PREEMPTED}


# The first that is found wins. A script's own words are quoted in the message of its run, hence it stands first.
_WORDS = tuple(
    (cause, re.compile("|".join(words), re.IGNORECASE))
    for cause, words in (
        # https://github.com/Azure/MachineLearningNotebooks/issues/1360 and, of the present runtime,
        # https://github.com/Azure/azure-cli-extensions/issues/2346
        (
            Cause.USER,
            (
                r"JobFailed: Submitted script failed",
                r"non-zero exit code",
                r"Execution failed\. User process",
                r"User program failed",
            ),
        ),
        # A run's UserError. https://github.com/Azure/MachineLearningNotebooks/issues/1242
        (Cause.PREEMPTED, (r"PreemptionError", r"nodes? .{0,40}\bpre-?empted")),
        # Of a cluster: ClusterMinNodesExceedCoreQuota, ClusterCoreQuotaReached; of a run: JobNodeCountExceedsCoreQuota,
        # https://github.com/MicrosoftLearning/mslearn-dp100/issues/35; of a deployment: OutOfQuota, OutOfCapacity,
        # https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints; of Resource Manager:
        # https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-resource-quota
        (
            Cause.QUOTA,
            (
                r"CoreQuota",
                r"\bOutOfQuota\b",
                r"\bQuotaExceeded\b",
                r"\bOutOfCapacity\b",
                r"vCPU quota of",
                r"not enough (\w+ ){0,2}quota",
                r"exceeding ([\w.]+ ){0,6}quota",
            ),
        ),
        # Codes of the regional services' ErrorResponse (runHistory specification), and of Resource Manager.
        (Cause.THROTTLED, (r"\bRequestThrottled\b", r"\bTooManyRequests\b")),
        (Cause.TRANSIENT, (r"\b(Service|Transient|AzureStorage|InternalServer)Error\b",)),
        (Cause.USER, (r"\b(User|Validation)Error\b", r"\bBad(Request|Argument)\b")),
    )
)


def cause_of(*said: str) -> Cause:
    """Return what the service's codes and message tell of the cause."""
    text = " ".join(said)
    return next((cause for cause, words in _WORDS if words.search(text)), Cause.UNKNOWN)
