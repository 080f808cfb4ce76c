"""Anything that is waited for: looked at, cancelled, explained, shown in studio, whatever its kind."""

from __future__ import annotations

import time

import pytest
from client_support import ARM, regional
from msgspec.structs import replace
from requests_mock import ANY

from airflow_azml.client.azureml import LOG_LINES
from airflow_azml.client.lifecycle import GONE, Goal, Observation, Phase, Policy, Target, Verdict, decide
from airflow_azml.client.transport.causes import Cause
from airflow_azml.client.transport.errors import NotFoundError, OperationFailedError
from airflow_azml.client.transport.longrunning import Operation

RUN = Target("runs", "r1", parent="exp")
COMPUTE = Target("computes", "cpu")
ENDPOINT = Target("endpoints", "shop")
DEPLOYMENT = Target("deployments", "blue", parent="shop")
ADDRESSES = {
    RUN: f"{regional('history/v1.0')}/runs/r1",
    COMPUTE: f"{ARM}/computes/cpu",
    ENDPOINT: f"{ARM}/onlineEndpoints/shop",
    DEPLOYMENT: f"{ARM}/onlineEndpoints/shop/deployments/blue",
}
TARGETS = list(ADDRESSES)
OPERATION = "https://management.azure.com/subscriptions/s/operations/1"
STARTED = Operation(OPERATION, "location")
CANCEL = f"{regional('execution/v1.0')}/experiments/exp/runId/r1/cancel"
BLOB = "https://store.blob.core.windows.net/logs/std_log.txt"


def of(kind):
    return pytest.param(kind, id=str(kind))


def failed(error):
    """A run that failed, in the run history's words."""
    return {"runId": "r1", "status": "Failed", "error": {"error": error}}


@pytest.mark.parametrize("target", [of(target) for target in TARGETS])
def test_every_kind_can_be_looked_at(client, requests_mock, target):
    """One GET; the status word comes from where the kind has it."""
    ended = {"runId": "r1", "status": "Completed"}
    resource = {"name": target.name, "properties": {"provisioningState": "Succeeded", "computeType": "AmlCompute"}}
    requests_mock.get(ADDRESSES[target], json=ended if target is RUN else resource)
    assert client.look(target).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("target", [of(target) for target in TARGETS])
def test_what_does_not_exist_is_gone(client, requests_mock, target):
    """A 404 is an observation, not an error: a deletion waits for it."""
    requests_mock.get(ADDRESSES[target], status_code=404, json={"error": {"code": "NotFound", "message": "no"}})
    requests_mock.get(f"{regional('history/v1.0')}/experiments/exp/runs/r1", status_code=404)
    assert client.look(target) is GONE


@pytest.mark.parametrize("target", [of(target) for target in TARGETS])
def test_nothing_is_gone_from_a_workspace_that_is_not_there(client, requests_mock, target):
    """A connection to a wrong workspace must not pass for a clean-up that was done."""
    requests_mock.get(ANY, status_code=404, json={"error": {"code": "ResourceNotFound", "message": "no"}})
    with pytest.raises(NotFoundError, match="workspace 'w' in resource group 'g' of subscription 's': no"):
        client.look(target)


def test_a_look_brings_the_reason_where_the_resource_has_it(client, requests_mock):
    """A run's error and a compute's provisioning errors are the observation's detail."""
    requests_mock.get(ADDRESSES[RUN], json=failed({"code": "UserError", "message": "exit code 1"}))
    errors = [{"error": {"code": "Quota", "message": "no cores"}}]
    properties = {"provisioningState": "Failed", "provisioningErrors": errors}
    requests_mock.get(ADDRESSES[COMPUTE], json={"name": "cpu", "properties": properties})
    assert client.look(RUN) == Observation(Phase.FAILED, "Failed", "UserError: exit code 1")
    assert client.look(COMPUTE) == Observation(Phase.FAILED, "Failed", "Quota: no cores")


def test_a_cluster_that_stands_may_have_errors(client, requests_mock):
    """A full disk or a reached quota of a cluster that is Succeeded is no failure: it can run."""
    errors = [{"error": {"code": "ClusterCoreQuotaReached", "message": "no more cores"}}]
    inner = {"errors": errors, "allocationState": "Steady"}
    properties = {"provisioningState": "Succeeded", "provisioningErrors": None, "properties": inner}
    requests_mock.get(ADDRESSES[COMPUTE], json={"name": "cpu", "properties": properties})
    seen = client.look(COMPUTE)
    assert seen.phase is Phase.SUCCEEDED
    assert seen.detail == "ClusterCoreQuotaReached: no more cores"


def test_a_cancelled_run_is_waited_for_until_it_is_canceled(client, requests_mock):
    """Asking is not enough: the run is looked at until the service shows that it has stopped."""
    states = ["Running", "CancelRequested", "CancelRequested", "Canceled"]
    requests_mock.get(ADDRESSES[RUN], [{"json": {"runId": "r1", "status": state}} for state in states])
    asked = requests_mock.post(CANCEL)
    assert client.cancel(RUN).phase is Phase.CANCELED
    assert (asked.call_count, client.slept) == (1, [1.0, 1.0])


def test_a_run_that_was_never_started_needs_no_cancel(client, requests_mock):
    """A task may be killed before its run exists: that is no error."""
    requests_mock.get(ADDRESSES[RUN], status_code=404)
    requests_mock.get(f"{regional('history/v1.0')}/experiments/exp/runs/r1", status_code=404)
    assert client.cancel(RUN) is GONE


@pytest.mark.parametrize("target", [of(COMPUTE), of(ENDPOINT), of(DEPLOYMENT)])
def test_what_is_not_a_run_is_only_looked_at(client, requests_mock, target):
    """The service has no cancel for them, and deleting is not cancelling."""
    requests_mock.get(ADDRESSES[target], json={"name": "x", "properties": {"provisioningState": "Creating"}})
    assert client.cancel(target).status == "Creating"
    assert all(request.method == "GET" for request in requests_mock.request_history)


FAILED_RUN = {
    "runId": "r1",
    "status": "Failed",
    "error": {
        "error": {"code": "UserError", "message": "exit code 1", "innerError": {"code": "ScriptFailed"}},
        "correlation": {"operation": "41", "request": "42"},
    },
}


def test_a_run_whose_reason_cannot_be_asked_for_is_explained_by_what_was_seen(client, requests_mock):
    """A failing network must not hide why the run has failed."""
    requests_mock.get(f"{ADDRESSES[RUN]}/details", json={})
    requests_mock.get(ADDRESSES[RUN], status_code=503)
    assert "seen before" in str(client.explain(RUN, Observation(Phase.FAILED, "Failed", "seen before")))


@pytest.mark.parametrize("appears", [False, True])
def test_a_run_whose_submission_was_broken_off_is_cancelled_if_it_appears(client, requests_mock, appears):
    """Its task was killed while the POST was under way: the run may come to be a moment later."""
    found = [{"json": {"runId": "r1", "status": status, "experimentId": "e"}} for status in ("Running", "Canceled")]
    requests_mock.get(ADDRESSES[RUN], [*[{"status_code": 404}] * 4, *(found if appears else [{"status_code": 404}])])
    requests_mock.get(f"{regional('history/v1.0')}/experiments/exp/runs/r1", status_code=404)
    requests_mock.post(f"{regional('execution/v1.0')}/experiments/exp/runId/r1/cancel", json={})
    client.transport._sleep = lambda _: time.sleep(0.1)
    seen = client.cancel(RUN, may_appear=0.5 if not appears else 60)
    assert seen.status == ("Canceled" if appears else "NotFound")
    assert [request.method for request in requests_mock.request_history].count("POST") == appears


def test_a_failed_run_is_explained_by_reason_page_and_log(client, requests_mock):
    """The error ends where the user looks: the service's reason, the studio page, the last lines of the log."""
    requests_mock.get(f"{ADDRESSES[RUN]}/details", json={"runId": "r1", "logFiles": {"user_logs/std_log.txt": BLOB}})
    text = "\n".join(f"line {number}" for number in range(200))
    requests_mock.head(BLOB, headers={"Content-Length": str(len(text))})
    requests_mock.get(BLOB, text=text)
    requests_mock.get(ADDRESSES[RUN], json=FAILED_RUN)
    error = client.explain(RUN, Observation(Phase.FAILED, "Failed", "seen before"))
    assert isinstance(error, OperationFailedError)
    assert (error.request_id, error.cause) == ("42", Cause.USER)
    said = str(error)
    first = "run r1 failed: Failed: ScriptFailed: exit code 1"
    assert said.startswith(f"{first}\nSee https://ml.azure.com/runs/r1?wsid=")
    assert said.endswith("line 199\nRequest id: 42")
    assert f"Last {LOG_LINES} lines of its log:\nline 150\n" in said


def test_a_log_that_cannot_be_read_does_not_hide_the_reason(client, requests_mock):
    """The explanation says so and goes on."""
    requests_mock.get(f"{ADDRESSES[RUN]}/details", status_code=403, json={"error": {"code": "Forbidden"}})
    requests_mock.get(ADDRESSES[RUN], json=FAILED_RUN)
    said = str(client.explain(RUN, Observation(Phase.FAILED, "Failed", "seen before")))
    assert "exit code 1" in said
    assert "(the log could not be read: get run details failed (HTTP 403)" in said


def test_a_failed_endpoint_is_explained_by_its_operation(client, requests_mock):
    """Endpoints and deployments keep their reason in the long-running operation."""
    requests_mock.get(OPERATION, json={"status": "Failed", "error": {"code": "QuotaExceeded", "message": "no cores"}})
    target = Target("endpoints", "shop", operation=STARTED)
    for seen in (Observation(Phase.FAILED, "Failed"), Observation(Phase.FAILED, "Failed", "QuotaExceeded: no cores")):
        error = client.explain(target, seen)
        assert "endpoint shop failed: Failed: QuotaExceeded: no cores" in str(error)
        assert error.cause is Cause.QUOTA


def test_a_failed_deployment_is_explained_by_its_container(client, requests_mock):
    """The scoring container's log says what init() raised."""
    requests_mock.post(f"{ADDRESSES[DEPLOYMENT]}/getLogs", json={"content": "Traceback\nKeyError: 'model'"})
    said = str(client.explain(DEPLOYMENT, Observation(Phase.FAILED, "Failed")))
    assert "the service gives no reason" in said
    assert said.endswith("Last 2 lines of its log:\nTraceback\nKeyError: 'model'")


def test_something_that_vanished_is_explained_without_a_log(client, requests_mock):
    """Nobody is asked for the log of what does not exist."""
    assert "it does not exist" in str(client.explain(RUN, GONE))
    assert requests_mock.request_history == []


@pytest.mark.parametrize(
    ("target", "page"),
    [
        (RUN, "/runs/r1"),
        (COMPUTE, "/compute/cpu/details"),
        (ENDPOINT, "/endpoints/realtime/shop/detail"),
        (DEPLOYMENT, "/endpoints/realtime/shop/detail"),
        (Target("computes", "cpu", goal=Goal.GONE), "/compute/cpu/details"),
    ],
)
def test_every_kind_has_a_page_in_studio(client, target, page):
    """The link names the workspace by its ARM id."""
    assert client.studio_url(target).startswith(f"https://ml.azure.com{page}?wsid=/subscriptions/s/resourceGroups/g/")


@pytest.mark.parametrize("state", ["Failed", "Canceled", "Succeeded", "Deleting"])
def test_what_is_being_deleted_may_show_any_last_state(client, requests_mock, state):
    """Deleting what has failed is the main case of a clean-up: its old state says nothing of the deletion."""
    requests_mock.get(ADDRESSES[DEPLOYMENT], json={"name": "blue", "properties": {"provisioningState": state}})
    requests_mock.get(OPERATION, status_code=202)
    target = Target("deployments", "blue", parent="shop", goal=Goal.GONE, operation=STARTED)
    assert client.look(target) == Observation(Phase.ACTIVE, "InProgress")
    requests_mock.get(OPERATION, json={"status": "Succeeded"})
    assert client.look(target) == Observation(Phase.ACTIVE, state)


CREATED = [replace(target, operation=STARTED) for target in TARGETS if target is not RUN]
DELETED = [replace(target, goal=Goal.GONE) for target in CREATED]


def shows(mock, target, state):
    """Let the service show a resource in a state."""
    properties = {"provisioningState": state, "computeType": "AmlCompute"}
    mock.get(ADDRESSES[replace(target, goal=Goal.SUCCEEDED, operation=None)], json={"properties": properties})


@pytest.mark.parametrize("status", ["Failed", "Canceled"])
@pytest.mark.parametrize("target", [of(target) for target in [*CREATED, *DELETED]])
def test_an_operation_that_failed_counts_more_than_a_resource_that_succeeded(client, requests_mock, target, status):
    """The resource shows what it was before; the operation says that the change failed, and why."""
    shows(requests_mock, target, "Succeeded")
    requests_mock.get(OPERATION, json={"status": status, "error": {"code": "Quota", "message": "no cores"}})
    seen = client.look(target)
    assert seen == Observation(Phase(status.casefold()), status, "Quota: no cores")
    assert decide(seen, 0, Policy(), target.goal).verdict is Verdict.FAILED


@pytest.mark.parametrize("state", ["Succeeded", "Failed"])
@pytest.mark.parametrize("target", [of(target) for target in CREATED])
def test_a_resource_that_lags_behind_its_operation_is_not_taken_for_the_end(client, requests_mock, target, state):
    """Right after a 202 the resource shows its old state, or is not there; then it may follow the operation late."""
    running = {"json": {"status": "Updating"}}
    requests_mock.get(OPERATION, [running, running, {"json": {"status": "Succeeded"}}])
    requests_mock.get(ADDRESSES[replace(target, operation=None)], status_code=404)
    assert client.look(target).phase is Phase.ACTIVE
    shows(requests_mock, target, state)
    assert client.look(target).phase is Phase.ACTIVE
    shows(requests_mock, target, "Updating")
    assert client.look(target).phase is Phase.ACTIVE
    shows(requests_mock, target, state)
    assert client.look(target).phase == state.casefold()


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("state", ["Creating", "Failed", "Succeeded"])
@pytest.mark.parametrize("target", [of(target) for target in CREATED])
def test_an_operation_that_cannot_be_read_leaves_the_word_to_the_resource(client, requests_mock, target, state, status):
    """The service may not know an operation that it has named, or not show it: neither success nor failure follows."""
    requests_mock.get(OPERATION, status_code=status, json={"error": {"code": "OperationNotFound"}})
    shows(requests_mock, target, state)
    assert client.look(target).status == state


@pytest.mark.parametrize("state", ["Failed", "Succeeded"])
@pytest.mark.parametrize("target", [of(target) for target in DELETED])
def test_a_deletion_whose_operation_is_not_known_ends_when_the_resource_is_gone(client, requests_mock, target, state):
    """What is still there is not deleted, and its old state does not say that the deletion failed."""
    requests_mock.get(OPERATION, status_code=404, json={"error": {"code": "OperationNotFound"}})
    shows(requests_mock, target, state)
    assert client.look(target) == Observation(Phase.ACTIVE, state)
    requests_mock.get(ADDRESSES[replace(target, goal=Goal.SUCCEEDED, operation=None)], status_code=404)
    assert client.look(target) is GONE


def test_a_start_that_failed_is_told_by_its_operation(client, requests_mock):
    """The machine is only Stopped: that it could not be started, only the operation says."""
    instance = Target("compute_instances", "cpu", operation=STARTED)
    properties = {"computeType": "ComputeInstance", "properties": {"state": "Stopped"}}
    requests_mock.get(ADDRESSES[COMPUTE], json={"properties": properties})
    requests_mock.get(OPERATION, json={"status": "Failed", "error": {"code": "AllocationFailed", "message": "none"}})
    assert client.look(instance) == Observation(Phase.FAILED, "Failed", "AllocationFailed: none")


def test_a_deletion_that_failed_is_told_by_its_operation(client, requests_mock):
    """The resource is still there, and the operation says why."""
    requests_mock.get(ADDRESSES[COMPUTE], json={"name": "cpu", "properties": {"provisioningState": "Succeeded"}})
    requests_mock.get(OPERATION, json={"status": "Failed", "error": {"code": "InUse", "message": "it is used"}})
    seen = client.look(Target("computes", "cpu", goal=Goal.GONE, operation=STARTED))
    assert seen.phase is Phase.FAILED
    assert "it is used" in seen.detail
