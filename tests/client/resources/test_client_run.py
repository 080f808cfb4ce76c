"""Runs: started exactly once, listed, marked and cancelled."""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP

import pytest
import requests
from client_support import REGION, RUNNING, posts, regional

from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.lifecycle import Target
from airflow_azml.client.transport import errors

HISTORY = regional("history/v1.0")


RUN = {"runId": "r1", "status": "Running", "tags": {"a": "b"}}


def row(run_id, **fields):
    return {"runId": run_id, "status": "Completed", **fields}


def test_runs_are_listed_page_by_page(client, requests_mock):
    """The query goes on by its token even where a nextLink is given too; hidden runs are left out."""
    url = f"{HISTORY}/experiments/exp/runs:query"
    first = {"value": [row("r1"), row("r2", hidden=True)], "continuationToken": "t1", "nextLink": f"{url}?x"}
    requests_mock.post(url, [{"json": first}, {"json": {"value": [row("r3")], "continuationToken": None}}])
    assert [run.id for run in client.runs.list("exp", filter="(Status eq Completed)")] == ["r1", "r3"]
    body = {"filter": "(Status eq Completed)", "orderBy": "CreatedUtc desc", "top": 500}
    assert [request.json() for request in requests_mock.request_history[-2:]] == [
        body,
        {**body, "continuationToken": "t1"},
    ]


def test_a_limit_is_a_limit(client, requests_mock):
    """No second page is asked for once there is enough, over all experiments together."""
    experiments = [{"name": "one", "experimentId": "e1"}, {"name": "two", "experimentId": "e2"}]
    requests_mock.post(f"{HISTORY}/experiments:query", json={"value": experiments})
    page = {"value": [row("r1"), row("r2")], "continuationToken": "more"}
    one = requests_mock.post(f"{HISTORY}/experiments/one/runs:query", json=page)
    two = requests_mock.post(f"{HISTORY}/experiments/two/runs:query", json={"value": [row("r3")]})
    assert [run.id for run in client.runs.list(limit=2)] == ["r1", "r2"]
    assert (one.call_count, two.call_count) == (1, 0)
    assert one.last_request.json()["top"] == 2


def test_children_and_runs_of_a_compute(client, requests_mock):
    """GETs with the filter in the query, which go on by nextLink or by $continuationtoken."""
    url = f"{HISTORY}/runs/r1/children"
    requests_mock.get(
        url, [{"json": {"value": [row("c1")], "continuationToken": "t"}}, {"json": {"value": [row("c2")]}}]
    )
    assert [run.id for run in client.runs.children("r1", filter="(Status eq Failed)")] == ["c1", "c2"]
    assert requests_mock.last_request.qs["$continuationtoken"] == ["t"]
    assert requests_mock.last_request.qs["$filter"] == ["(status eq failed)"]
    requests_mock.get(f"{HISTORY}/computes/cpu/runs", json={"value": [row("r9")]})
    assert [run.id for run in client.runs.on_compute("cpu")] == ["r9"]


def test_marks_on_a_run(client, requests_mock):
    """Strings only; a run that does not exist is not made by marking it."""
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUN)
    requests_mock.patch(f"{HISTORY}/runs/r1", json={**RUN, "tags": {"a": "b", "n": "1"}})
    run = client.runs.update("r1", tags={"n": 1}, properties={"p": 2}, display_name="nice")
    assert run.tags == {"a": "b", "n": "1"}
    assert requests_mock.last_request.json() == {
        "runId": "r1",
        "tags": {"n": "1"},
        "properties": {"p": "2"},
        "displayName": "nice",
    }
    requests_mock.delete(f"{HISTORY}/experiments/exp/runs/r1/tags", json={})
    client.runs.delete_tags("r1", ["a"], "exp")
    assert requests_mock.last_request.json() == ["a"]
    requests_mock.get(f"{HISTORY}/runs/r2", status_code=404)
    with pytest.raises(errors.NotFoundError):
        client.runs.update("r2", tags={"a": "b"})


def test_marks_that_a_run_has_already_are_not_sent_again(client, requests_mock):
    """A property never changes: another value for it is refused, with the difference named, and nothing is sent."""
    there = {**RUN, "tags": {"a": "b"}, "properties": {"p": "2"}, "displayName": "nice"}
    requests_mock.get(f"{HISTORY}/runs/r1", json=there)
    run = client.runs.update("r1", tags={"a": "b"}, properties={"p": 2}, display_name="nice")
    assert run.tags == {"a": "b"}
    with pytest.raises(errors.ConflictError, match=r"properties\.p is '2', not '3'"):
        client.runs.update("r1", tags={"c": "d"}, properties={"p": 3})
    with pytest.raises(errors.InputError, match=r"tags\.a: must be text"):
        client.runs.update("r1", tags={"a": None})
    assert {request.method for request in requests_mock.request_history} == {"GET"}


STARTED = Target("runs", "r1", "exp")


EXECUTION = regional("execution/v1.0")


START = f"{EXECUTION}/experiments/exp/startrun"


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "train.py").write_text("print(1)")
    with Bundle(tmp_path) as made:
        yield made


@pytest.fixture
def experiment(requests_mock):
    requests_mock.get(f"{HISTORY}/experiments/exp", json={"name": "exp"})


@pytest.mark.usefixtures("experiment")
def test_start_sends_the_multipart_with_our_run_id(client, requests_mock, bundle):
    """The run definition and the zip are two parts of one streamed POST that carries the run id we chose."""
    received = {}

    def answer(request, _):
        received.update(headers=request.headers, body=b"".join(request.body))
        return {"runId": "r1"}

    requests_mock.post(START, json=answer)
    assert client.runs.start("exp", bundle, {"configuration": {"script": "train.py"}}, "r1") == STARTED
    assert requests_mock.last_request.qs == {"runid": ["r1"]}
    assert received["headers"]["Content-Length"] == str(len(received["body"]))
    assert "Transfer-Encoding" not in received["headers"]
    head = b"Content-Type: " + received["headers"]["Content-Type"].encode()
    message = BytesParser(policy=HTTP).parsebytes(head + b"\r\n\r\n" + received["body"])
    definition, _ = message.iter_parts()
    assert json.loads(definition.get_payload()) == {"configuration": {"script": "train.py"}}


def test_start_makes_the_experiment_when_it_is_new(client, requests_mock, bundle):
    """A 404 for the experiment is followed by its POST, before the run."""
    requests_mock.get(f"{HISTORY}/experiments/exp", status_code=404)
    requests_mock.post(f"{HISTORY}/experiments/exp", json={})
    requests_mock.post(START, json={"runId": "r1"})
    client.runs.start("exp", bundle, {}, "r1")
    assert [request.path.rpartition("/")[2] for request in requests_mock.request_history[-3:]] == [
        "exp",
        "exp",
        "startrun",
    ]


@pytest.mark.parametrize(
    "lost",
    [
        {"status_code": 500},
        {"status_code": 503, "headers": {"Retry-After": "1"}},
        {"status_code": 409, "json": {"error": {"code": "UserError", "message": "exists"}}},
        {"status_code": 400, "json": {"error": {"code": "UserError", "message": "exists"}}},
        {"exc": requests.ReadTimeout("timed out")},
    ],
)
@pytest.mark.usefixtures("experiment")
def test_a_run_that_was_started_although_the_post_failed_is_adopted(client, requests_mock, bundle, lost):
    """After a doubtful answer we look: the run is there, so nothing is sent again."""
    requests_mock.post(START, [lost])
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUNNING)
    assert client.runs.start("exp", bundle, {}, "r1") == STARTED
    assert len(posts(requests_mock, START)) == 1


@pytest.mark.usefixtures("experiment")
def test_a_run_that_was_not_started_is_started(client, requests_mock, bundle):
    """After a doubtful answer we look: the run is not there, so the POST is repeated, whole."""
    requests_mock.post(START, [{"status_code": 500}, {"json": {"runId": "r1"}}])
    requests_mock.get(f"{HISTORY}/runs/r1", status_code=404)
    requests_mock.get(f"{HISTORY}/experiments/exp/runs/r1", status_code=404)
    assert client.runs.start("exp", bundle, {}, "r1") == STARTED
    first, second = posts(requests_mock, START)
    assert b"".join(first.body) == b"".join(second.body)


@pytest.mark.usefixtures("experiment")
def test_a_refused_run_is_an_error_at_once(client, requests_mock, bundle):
    """A bad request for a run that does not exist is raised with the service's reason."""
    requests_mock.post(START, status_code=400, json={"error": {"code": "UserError", "message": "no compute 'cpu'"}})
    requests_mock.get(f"{HISTORY}/runs/r1", status_code=404)
    requests_mock.get(f"{HISTORY}/experiments/exp/runs/r1", status_code=404)
    with pytest.raises(errors.InvalidRequestError, match="no compute 'cpu'"):
        client.runs.start("exp", bundle, {}, "r1")
    assert len(posts(requests_mock, START)) == 1


@pytest.mark.parametrize(("experiment_name", "run_id"), [("a b", "r1"), ("exp", "a:b")])
def test_bad_names_are_refused_before_anything_is_sent(client, requests_mock, bundle, experiment_name, run_id):
    """Names are checked first."""
    with pytest.raises(errors.InputError):
        client.runs.start(experiment_name, bundle, {}, run_id)
    assert requests_mock.request_history == []


def test_cancel_uses_the_execution_service(client, requests_mock):
    """A running run is cancelled below its experiment, whose name is looked up when it is not given."""
    url = f"{EXECUTION}/experiments/exp/runId/r1/cancel"
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUNNING)
    requests_mock.get(f"{HISTORY}/experimentids/e-guid", json={"name": "exp"})
    requests_mock.post(url, json={"runId": "r1"})
    client.runs.request_cancel("r1")
    client.runs.request_cancel("r1", "exp")
    assert len(posts(requests_mock, url)) == 2


@pytest.mark.parametrize(("uri", "used"), [(f"{REGION}/cancel/r1", True), ("https://evil.example/cancel", False)])
def test_cancel_takes_the_runs_own_address_when_it_is_trusted(client, requests_mock, uri, used):
    """A cancelUri of the cloud is used, a foreign one is not."""
    requests_mock.get(f"{HISTORY}/runs/r1", json={**RUNNING, "cancelUri": uri})
    requests_mock.post(f"{REGION}/cancel/r1", json={})
    requests_mock.post(f"{EXECUTION}/experiments/exp/runId/r1/cancel", json={})
    client.runs.request_cancel("r1", "exp")
    assert (requests_mock.last_request.url == uri) is used


def test_cancelling_what_has_ended(client, requests_mock):
    """A finished run is left alone; one that finishes while we ask is no error; a real refusal is."""
    requests_mock.get(f"{HISTORY}/runs/r1", json={**RUNNING, "status": "Completed"})
    assert client.runs.request_cancel("r1", "exp").status == "Completed"
    url = f"{EXECUTION}/experiments/exp/runId/r1/cancel"
    requests_mock.post(url, status_code=409)
    requests_mock.get(f"{HISTORY}/runs/r1", [{"json": RUNNING}, {"json": {**RUNNING, "status": "Completed"}}])
    assert client.runs.request_cancel("r1", "exp").status == "Completed"
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUNNING)
    with pytest.raises(errors.ConflictError):
        client.runs.request_cancel("r1", "exp")


ENDED = {"code": "ArgumentInvalid", "innerError": {"code": "CancelPipelineRunInTerminalStatus", "innerError": None}}


REFUSED = {"error": {"code": "UserError", "additionalInfo": [{"type": "InnerError", "info": {"value": ENDED}}]}}


PAGE = "<html><head><title>504 Gateway Time-out</title></head><body><h1>504 Gateway Time-out</h1></body></html>"


@pytest.mark.parametrize(
    "answers",
    [
        [{"status_code": 400, "json": REFUSED}],
        [{"status_code": 200, "text": ""}],
        [{"status_code": 504, "text": PAGE}, {"status_code": 202, "text": "null"}],
        [{"status_code": 502, "text": PAGE}, {"status_code": 400, "json": REFUSED}],
    ],
)
def test_a_cancel_as_the_service_was_recorded_to_answer_it(client, requests_mock, answers):
    """A run that ended meanwhile is refused or accepted, with or without a body; a gateway's page is asked again."""
    requests_mock.get(f"{HISTORY}/runs/r1", [{"json": RUNNING}, {"json": {**RUNNING, "status": "Completed"}}])
    cancel = requests_mock.post(f"{EXECUTION}/experiments/exp/runId/r1/cancel", answers)
    client.runs.request_cancel("r1", "exp")
    assert cancel.call_count == len(answers)


def test_a_gateways_page_is_said_in_its_own_words(client, requests_mock):
    """Its markup is no reason that anybody can read."""
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUNNING)
    requests_mock.post(f"{EXECUTION}/experiments/exp/runId/r1/cancel", status_code=504, text=PAGE)
    with pytest.raises(errors.ServiceError, match=r"\(HTTP 504\): 504 Gateway Time-out 504 Gateway Time-out$"):
        client.runs.request_cancel("r1", "exp")
