"""Why something failed, read from the service's own words, and carried from process to process."""

from __future__ import annotations

import json

import pytest

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.answers import error_from
from airflow_azml.client.transport.causes import Cause, cause_of
from airflow_azml.client.transport.errors import AzureMLError, InputError, from_event, to_event

# As users have reported them; see the sources in causes.py.
SAID = {
    "UserError: AzureMLCompute job failed.\nPreemptionError: Nodes of this job got pre-empted. Check if the run has "
    "failed or restarted. Reason: Received pre-emption warning signal": Cause.PREEMPTED,
    "UserError: AzureMLCompute job failed.\nJobFailed: Submitted script failed with a non-zero exit code; see the "
    "driver log file for details.": Cause.USER,
    "UserError: User program failed with OSError: ServiceError: vCPU quota of my own making": Cause.USER,
    "ClusterMinNodesExceedCoreQuota: The specified subscription has a total vCPU quota of 4 and cannot accomodate for "
    "at least 1 requested compute training cluster": Cause.QUOTA,
    "JobNodeCountExceedsCoreQuota, The specified subscription has a Standard DSv2 family vCPU quota of 2": Cause.QUOTA,
    "Not enough quota available for Standard_F4s_v2 in SubscriptionId a. Current usage/limit: 0/6": Cause.QUOTA,
    "OutOfQuota: Not enough cluster CPU quota. The amount of additional CPU quota requested is 8": Cause.QUOTA,
    "OperationNotAllowed: Operation results in exceeding quota limits of Core. Maximum allowed: 20": Cause.QUOTA,
    "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.": Cause.QUOTA,
    "OutOfCapacity: There is no capacity for Standard_NC6 in eastus": Cause.QUOTA,
    "RequestThrottled: too fast": Cause.THROTTLED,
    "ServiceError: AzureMLCompute job failed.\nOrchestrateJobError: Failed to execute command group": Cause.TRANSIENT,
    "UserError: the dataset is empty": Cause.USER,
    "it ended as Failed": Cause.UNKNOWN,
    "Run preempted-1 of experiment quota was not found": Cause.UNKNOWN,
}


@pytest.mark.parametrize(("said", "cause"), SAID.items())
def test_the_services_words_tell_the_cause(said, cause):
    """Words that the service is known to have said have the cause that they stand for."""
    assert cause_of(said) is cause
    assert errors.OperationFailedError(said).cause is cause


@pytest.mark.parametrize(
    ("status", "code", "cause", "permanent"),
    [
        (400, "BadRequest", Cause.USER, True),
        (400, "ClusterCoreQuotaReached", Cause.QUOTA, False),
        (401, "", Cause.USER, True),
        (403, "AuthorizationFailed", Cause.USER, True),
        (404, "OutOfQuota", Cause.USER, True),  # names do not count
        (409, "InUse", Cause.TRANSIENT, False),
        (409, "QuotaExceeded", Cause.QUOTA, False),
        (422, "Odd", Cause.USER, True),
        (429, "QuotaExceeded", Cause.THROTTLED, False),
        (500, "UserError", Cause.USER, True),  # the code knows better than the status
        (501, "NotImplemented", Cause.USER, True),
        (503, "", Cause.TRANSIENT, False),
    ],
)
def test_status_and_code_decide_the_cause(status, code, cause, permanent):
    """An answer's class decides, unless its words know better; what lacks machines only may be granted later."""
    body = json.dumps({"error": {"code": code, "message": "m"}})
    error = error_from(operation="o", status=status, headers={}, body=body)
    assert (error.cause, error.permanent) == (cause, permanent)


def test_who_knows_the_cause_says_so():
    """A cause that is given stands, whatever a log in the message says."""
    error = errors.OperationFailedError("Last lines of its log:\nPreemptionError", cause=Cause.USER)
    assert error.cause is Cause.USER
    assert errors.AuthenticationError("later", permanent=False).cause is Cause.TRANSIENT


def examples():
    """One error of every class there is."""
    given = {
        "operation": "get run", "status_code": 429, "code": "C", "request_id": "r", "url": "https://x/?sig=***",
        "details": (("D", "d"),), "retry_after": 7.5, "remedy": "Do it.", "permanent": False, "cause": Cause.QUOTA,
    }  # fmt: skip
    for kind in [AzureMLError, *AzureMLError.__subclasses__()]:
        yield kind("compute_name", "9", "must be longer") if kind is InputError else kind("no", **given)


@pytest.mark.parametrize("error", list(examples()), ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_through_the_database(error):
    """As plain JSON and back it is of its class, says the same, and has all that decides on a retry."""
    again = from_event(json.loads(json.dumps(to_event(error))))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert to_event(again) == to_event(error)
    assert (again.details, again.cause, again.permanent) == (error.details, error.cause, error.permanent)


def test_an_event_of_another_release_is_still_an_error():
    """A class or cause that this release does not know, and fields that are missing, do not hide the failure."""
    error = from_event({"type": "NewError", "message": "no", "cause": "new", "permanent": True, "more": 1})
    assert type(error) is AzureMLError
    assert (str(error), error.cause, error.permanent) == ("no", Cause.USER, True)


def test_an_event_holds_no_secret():
    """What is redacted in the error is redacted in its event, which is stored in Airflow's database."""
    error = AzureMLError("GET https://sa/x?sig=abc failed: Bearer eyJhbGciOiJ", url="https://sa/x?sig=abc")
    assert "abc" not in json.dumps(to_event(error))
    assert "eyJ" not in json.dumps(to_event(error))
