"""Cancel a run and write the result to the task's log: the same line in a worker and in the triggerer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Observation, Target


def cancel(client: AzureMLClient, target: Target, why: str, log: Any, **how: Any) -> Observation:
    """Cancel the target and return how it is then.

    :param why: why it is cancelled, in words.
    :param log: the logger of the task.
    :param how: arguments of the client's own `cancel`.
    """
    began = time.monotonic()
    seen = client.cancel(target, **how)
    log.info("%s: %s; cancelled, seen %s after %.0f s", target, why, seen.status, time.monotonic() - began)
    return seen
