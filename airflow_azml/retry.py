"""Retries that fit the failure: `retry_policy=azureml_retry_policy` on a task, for Airflow 3.3 and later.

The client knows why something failed (`airflow_azml.client.transport.causes`); this module decides what follows from
it. A task that must not be retried (a bad request, missing rights) fails before the policy is called.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

try:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
except ImportError as error:
    raise ImportError(
        "airflow_azml.retry needs Apache Airflow 3.3 or later, where tasks take a retry_policy. "
        "On this one use the task's retries, retry_delay and retry_exponential_backoff."
    ) from error

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_azml.client.transport.errors import AzureMLError

SPREAD = 0.1
"""Share by which a delay is made longer at most: tasks that failed together do not come back together."""
_MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class AzureMLRetryPolicy(RetryPolicy):
    """Retry what another try can mend, after a delay that fits; fail at once what only a person can mend.

    Every retry counts as one of the task's `retries`. A failure that nobody has explained is left to the task's own
    settings, and so is every exception that is not of Azure ML.

    :param transient: wait after the first failure of the service; doubled for each further try.
    :param longest: until this long.
    :param throttled: wait after too many requests, when the service does not say how long; doubled likewise.
    :param preempted: wait after a low-priority node was taken away.
    :param quota: wait for cores or capacity that others hold.
    """

    transient: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(minutes=10)
    throttled: timedelta = timedelta(minutes=1)
    preempted: timedelta = timedelta(seconds=30)
    quota: timedelta = timedelta(minutes=20)

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow's signature; Airflow itself counts the tries
        context: Context | None = None,  # noqa: ARG002 - likewise
    ) -> RetryDecision:
        """Decide on what a task has failed with."""
        from airflow_azml.client.transport.errors import AzureMLError  # noqa: PLC0415 - DAG files import this module, and parsing loads nothing of the client

        if not isinstance(exception, AzureMLError):
            return RetryDecision.default()
        delay = self._delay(exception, min(try_number, _MOST_DOUBLINGS))
        reason = f"{exception.cause}: {next(iter(str(exception).splitlines()))}"
        if delay is not None:
            return RetryDecision.retry(delay * random.uniform(1, 1 + SPREAD), reason)  # noqa: S311 - spreads load, guards nothing
        return RetryDecision.fail(reason) if exception.cause == "user" else RetryDecision.default()

    def _delay(self, error: AzureMLError, tries: int) -> timedelta | None:
        """Return how long to wait for what; None for what no waiting helps against. The causes are texts."""
        asked = None if error.retry_after is None else timedelta(seconds=error.retry_after)
        doubled = 2 ** (tries - 1)
        delays = {
            "transient": max(min(self.transient * doubled, self.longest), asked or timedelta()),
            "throttled": min(self.throttled * doubled, self.longest) if asked is None else asked,
            "preempted": self.preempted,
            "quota": self.quota,
        }
        return delays.get(error.cause)


azureml_retry_policy = AzureMLRetryPolicy()
