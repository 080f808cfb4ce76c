"""The run history: one run with all that is known of it, or many in few requests."""

from __future__ import annotations

import re
import time

import pytest
from client_support import RUNNING, posts, regional

from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.transport import errors

HISTORY = regional("history/v1.0")


def test_get_reads_a_run(client, requests_mock):
    """The run is read at workspace level; its error is the deepest."""
    failed = {"error": {"error": {"code": "UserError", "message": "boom", "innerError": {"code": "NonZeroExitCode"}}}}
    requests_mock.get(f"{HISTORY}/runs/r1", json={**RUNNING, **failed, "status": "Failed"})
    run = client.runs.get("r1")
    assert (run.id, run.status, run.phase.terminal, run.error) == ("r1", "Failed", True, "NonZeroExitCode: boom")
    assert (run.data_container_id, run.tags) == ("dcid.r1", {"a": "b"})
    assert requests_mock.last_request.qs == {"api-version": ["v1.0"]}


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("Completed", True),
        ("canceled", True),
        ("FAILED", True),
        ("Finalizing", False),
        ("CancelRequested", False),
        ("New", False),
    ],
)
def test_only_three_states_are_ends(status, terminal):
    """Finalizing still uploads outputs, and a status that nobody knows kills nothing."""
    assert Run.of({"status": status}).phase.terminal is terminal


@pytest.mark.parametrize("status", [404, 405])
def test_get_falls_back_to_the_experiment(client, requests_mock, status):
    """A service without workspace-level paths is asked below the experiment, when that is known."""
    requests_mock.get(f"{HISTORY}/runs/r1", status_code=status)
    requests_mock.get(f"{HISTORY}/experiments/exp/runs/r1", json=RUNNING)
    assert client.runs.get("r1", "exp").id == "r1"
    with pytest.raises(errors.AzureMLError):
        client.runs.get("r1")


def test_many_runs_in_few_requests(client, requests_mock):
    """A hundred ids in the first request; a run that the service does not give is left out."""

    def answer(request, _):
        asked = request.json()["requests"]
        assert all(row == {"runId": key, "selectRunMetadata": True} for key, row in asked.items())
        found = {key: {"runMetadata": {**RUNNING, "runId": key}} for key in asked if key != "r7"}
        return {"successfulResults": found, "failedResults": {"r7": {"error": {"code": "UserError"}}}}

    requests_mock.post(f"{HISTORY}/batchrundata", json=answer)
    runs = client.runs.get_many(f"r{number}" for number in range(120))
    assert len(runs) == 119
    assert runs["r5"].run_id == "r5"
    assert len(posts(requests_mock, f"{HISTORY}/batchrundata")) == 2


def test_a_batch_grows_while_the_service_accepts_it_and_shrinks_when_not(client, requests_mock):
    """No limit is published: 100, 200, 400 ids, then the half of what was refused, and never more again."""
    sizes = []

    def answer(request, context):
        asked = request.json()["requests"]
        sizes.append(len(asked))
        if len(asked) > 300:
            context.status_code = 400
            return {"error": {"code": "UserError", "message": "too many"}}
        return {"successfulResults": {key: {"runMetadata": {**RUNNING, "runId": key}} for key in asked}}

    requests_mock.post(f"{HISTORY}/batchrundata", json=answer)
    assert len(client.runs.get_many(f"r{number}" for number in range(1000))) == 1000
    assert sizes == [100, 200, 400, 200, 200, 200, 100]


def test_many_runs_where_the_service_knows_no_batch(client, requests_mock):
    """Without batchrundata the experiment is queried, else each run is asked, in the pace of single requests."""
    requests_mock.post(f"{HISTORY}/batchrundata", status_code=404)
    requests_mock.post(f"{HISTORY}/experiments/exp/runs:query", json={"value": [RUNNING]})
    assert list(client.runs.get_many(["r1", "r2"], "exp")) == ["r1"]
    assert requests_mock.last_request.json() == {"filter": "RunId eq r1 or RunId eq r2", "top": 2}
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUNNING)
    requests_mock.get(f"{HISTORY}/runs/r2", status_code=404)
    assert list(client.runs.get_many(["r1", "r2"])) == ["r1"]
    assert (client.runs.batch_size, client.slept) == (1, [0.1])
    assert len(posts(requests_mock, f"{HISTORY}/batchrundata")) == 1


def test_a_service_that_once_knew_no_batch_is_asked_again(client, requests_mock, monkeypatch):
    """A single 404 on the way must not slow down every wait for the life of the process."""
    found = {name: {"runMetadata": {**RUNNING, "runId": name}} for name in ("r1", "r2")}
    requests_mock.post(f"{HISTORY}/batchrundata", [{"status_code": 404}, {"json": {"successfulResults": found}}])
    requests_mock.get(re.compile(f"{re.escape(HISTORY)}/runs/r[12]"), json=RUNNING)
    now = time.monotonic()
    assert len(client.runs.get_many(["r1", "r2"])) == 2
    assert client.runs.batch_size == 1
    monkeypatch.setattr(time, "monotonic", lambda: now + 90)
    assert client.runs.batch_size > 1
    assert len(client.runs.get_many(["r1", "r2"])) == 2
    assert requests_mock.last_request.path.endswith("/batchrundata")


def test_the_state_of_a_run_is_the_same_by_whatever_way_it_was_asked_for(client, requests_mock):
    """The reason of a failure, what a queued run waits for, when it began; nulls and unknown members do no harm."""
    failed = {"runId": "r1", "status": "Failed", "error": {"error": {"code": "UserError", "message": "no rows"}}}
    queued = {"runId": "r2", "status": "Queued", "error": None, "queueingInfo": {"message": "2nd in line"}, "new": [1]}
    runs = {"r1": failed, "r2": queued, "r3": {"runId": "r3", "status": None, "startTimeUtc": "2026-01-01T00:00:00Z"}}
    found = {name: {"runMetadata": run} for name, run in runs.items()} | {"r4": {"runMetadata": None}}
    requests_mock.post(f"{HISTORY}/batchrundata", json={"successfulResults": found, "failedResults": None})
    states = client.runs.get_many([*found])
    for name, run in runs.items():
        requests_mock.get(f"{HISTORY}/runs/{name}", json=run)
        seen = client.look(client.runs.target(name))
        assert client.runs.look_many([client.runs.target(each) for each in runs])[client.runs.target(name)] == seen
    assert [states[name].detail for name in runs] == ["UserError: no rows", "2nd in line", ""]
    assert [states[name].phase.terminal for name in runs] == [True, False, False]
    assert states["r3"].started == "2026-01-01T00:00:00Z"
    requests_mock.post(f"{HISTORY}/batchrundata", text="<html>")
    with pytest.raises(errors.ServiceError, match="not JSON as expected: <html>"):
        client.runs.get_many(["r1"])


def test_a_batch_that_fails_otherwise_is_an_error(client, requests_mock):
    """Forbidden is not "unknown path"."""
    requests_mock.post(f"{HISTORY}/batchrundata", status_code=403)
    with pytest.raises(errors.PermissionDeniedError):
        client.runs.get_many(["r1"])
