"""Runs and artifacts: method, path and body of each call, and what becomes of the answers."""

from __future__ import annotations

import json
import re
import time
from email.parser import BytesParser
from email.policy import HTTP

import pytest
import requests
from client_support import REGION, WS, regional

from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.lifecycle import Target
from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.resources.run_log import stream_log
from airflow_azml.client.transport import errors

STARTED = Target("runs", "r1", "exp")
HISTORY = regional("history/v1.0")
EXECUTION = regional("execution/v1.0")
START = f"{EXECUTION}/experiments/exp/startrun"
RUN = {"runId": "r1", "status": "Running", "experimentId": "e-guid", "dataContainerId": "dcid.r1", "tags": {"a": "b"}}
SAS = "https://sa.blob.core.windows.net/c/log?sig=s1"


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "train.py").write_text("print(1)")
    with Bundle(tmp_path) as made:
        yield made


@pytest.fixture
def experiment(requests_mock):
    requests_mock.get(f"{HISTORY}/experiments/exp", json={"name": "exp"})


def posts(mock, url):
    return [request for request in mock.request_history if request.method == "POST" and request.url.startswith(url)]


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
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUN)
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


def test_get_reads_a_run(client, requests_mock):
    """The run is read at workspace level; its error is the deepest."""
    failed = {"error": {"error": {"code": "UserError", "message": "boom", "innerError": {"code": "NonZeroExitCode"}}}}
    requests_mock.get(f"{HISTORY}/runs/r1", json={**RUN, **failed, "status": "Failed"})
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
    requests_mock.get(f"{HISTORY}/experiments/exp/runs/r1", json=RUN)
    assert client.runs.get("r1", "exp").id == "r1"
    with pytest.raises(errors.AzureMLError):
        client.runs.get("r1")


def test_many_runs_in_few_requests(client, requests_mock):
    """A hundred ids in the first request; a run that the service does not give is left out."""

    def answer(request, _):
        asked = request.json()["requests"]
        assert all(row == {"runId": key, "selectRunMetadata": True} for key, row in asked.items())
        found = {key: {"runMetadata": {**RUN, "runId": key}} for key in asked if key != "r7"}
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
        return {"successfulResults": {key: {"runMetadata": {**RUN, "runId": key}} for key in asked}}

    requests_mock.post(f"{HISTORY}/batchrundata", json=answer)
    assert len(client.runs.get_many(f"r{number}" for number in range(1000))) == 1000
    assert sizes == [100, 200, 400, 200, 200, 200, 100]


def test_many_runs_where_the_service_knows_no_batch(client, requests_mock):
    """Without batchrundata the experiment is queried, else each run is asked, in the pace of single requests."""
    requests_mock.post(f"{HISTORY}/batchrundata", status_code=404)
    requests_mock.post(f"{HISTORY}/experiments/exp/runs:query", json={"value": [RUN]})
    assert list(client.runs.get_many(["r1", "r2"], "exp")) == ["r1"]
    assert requests_mock.last_request.json() == {"filter": "RunId eq r1 or RunId eq r2", "top": 2}
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUN)
    requests_mock.get(f"{HISTORY}/runs/r2", status_code=404)
    assert list(client.runs.get_many(["r1", "r2"])) == ["r1"]
    assert (client.runs.batch_size, client.slept) == (1, [0.1])
    assert len(posts(requests_mock, f"{HISTORY}/batchrundata")) == 1


def test_a_service_that_once_knew_no_batch_is_asked_again(client, requests_mock, monkeypatch):
    """A single 404 on the way must not slow down every wait for the life of the process."""
    found = {name: {"runMetadata": {**RUN, "runId": name}} for name in ("r1", "r2")}
    requests_mock.post(f"{HISTORY}/batchrundata", [{"status_code": 404}, {"json": {"successfulResults": found}}])
    requests_mock.get(re.compile(f"{re.escape(HISTORY)}/runs/r[12]"), json=RUN)
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


def test_cancel_uses_the_execution_service(client, requests_mock):
    """A running run is cancelled below its experiment, whose name is looked up when it is not given."""
    url = f"{EXECUTION}/experiments/exp/runId/r1/cancel"
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUN)
    requests_mock.get(f"{HISTORY}/experimentids/e-guid", json={"name": "exp"})
    requests_mock.post(url, json={"runId": "r1"})
    client.runs.request_cancel("r1")
    client.runs.request_cancel("r1", "exp")
    assert len(posts(requests_mock, url)) == 2


@pytest.mark.parametrize(("uri", "used"), [(f"{REGION}/cancel/r1", True), ("https://evil.example/cancel", False)])
def test_cancel_takes_the_runs_own_address_when_it_is_trusted(client, requests_mock, uri, used):
    """A cancelUri of the cloud is used, a foreign one is not."""
    requests_mock.get(f"{HISTORY}/runs/r1", json={**RUN, "cancelUri": uri})
    requests_mock.post(f"{REGION}/cancel/r1", json={})
    requests_mock.post(f"{EXECUTION}/experiments/exp/runId/r1/cancel", json={})
    client.runs.request_cancel("r1", "exp")
    assert (requests_mock.last_request.url == uri) is used


def test_cancelling_what_has_ended(client, requests_mock):
    """A finished run is left alone; one that finishes while we ask is no error; a real refusal is."""
    requests_mock.get(f"{HISTORY}/runs/r1", json={**RUN, "status": "Completed"})
    assert client.runs.request_cancel("r1", "exp").status == "Completed"
    url = f"{EXECUTION}/experiments/exp/runId/r1/cancel"
    requests_mock.post(url, status_code=409)
    requests_mock.get(f"{HISTORY}/runs/r1", [{"json": RUN}, {"json": {**RUN, "status": "Completed"}}])
    assert client.runs.request_cancel("r1", "exp").status == "Completed"
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUN)
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
    requests_mock.get(f"{HISTORY}/runs/r1", [{"json": RUN}, {"json": {**RUN, "status": "Completed"}}])
    cancel = requests_mock.post(f"{EXECUTION}/experiments/exp/runId/r1/cancel", answers)
    client.runs.request_cancel("r1", "exp")
    assert cancel.call_count == len(answers)


def test_a_gateways_page_is_said_in_its_own_words(client, requests_mock):
    """Its markup is no reason that anybody can read."""
    requests_mock.get(f"{HISTORY}/runs/r1", json=RUN)
    requests_mock.post(f"{EXECUTION}/experiments/exp/runId/r1/cancel", status_code=504, text=PAGE)
    with pytest.raises(errors.ServiceError, match=r"\(HTTP 504\): 504 Gateway Time-out 504 Gateway Time-out$"):
        client.runs.request_cancel("r1", "exp")


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["user_logs/std_log.txt", "system_logs/x.txt", "azureml-logs/70_driver_log.txt"], "user_logs/std_log.txt"),
        (["azureml-logs/55_azureml.txt", "azureml-logs/70_driver_log.txt"], "azureml-logs/70_driver_log.txt"),
        (["user_logs/std_log_process_00.txt", "user_logs/std_log_process_01.txt"], "user_logs/std_log_process_00.txt"),
        (["logs/azureml/executionlogs.txt"], "logs/azureml/executionlogs.txt"),
        (["system_logs/x.txt"], None),
        ([], None),
    ],
)
def test_which_log_is_the_users(files, chosen):
    """The user's own output is found among the log files of every runtime."""
    assert stream_log(files) == chosen


def test_a_refused_sas_is_not_blamed_on_the_service_principal(client, requests_mock):
    """A 403 of blob storage says nothing about roles."""
    requests_mock.get(SAS, status_code=403, headers={"x-ms-error-code": "AuthenticationFailed"})
    with pytest.raises(errors.PermissionDeniedError, match=r"AuthenticationFailed$"):
        client.logs.read_file(SAS)


def test_the_tail_of_the_log(client, requests_mock, secrets):
    """Size first, then only the end; no bearer; the signature is reported as secret."""
    requests_mock.get(f"{HISTORY}/runs/r1/details", json={"logFiles": {"user_logs/std_log.txt": SAS}})
    requests_mock.head(SAS, headers={"Content-Length": "200000"})
    requests_mock.get(SAS, status_code=206, content=b"half a line\nlast but one\nlast \xc3\xa9\n")
    assert client.logs.tail("r1", 5) == ["last but one", "last é"]
    assert requests_mock.last_request.headers["Range"].startswith(f"bytes={200000 - 65536}-")
    assert "Authorization" not in requests_mock.last_request.headers
    assert "s1" in secrets


def test_logs_that_are_not_there_yet(client, requests_mock):
    """No details, no file, no blob: an empty log."""
    requests_mock.get(f"{HISTORY}/runs/r1/details", [{"status_code": 404}, {"json": {"logFiles": None}}])
    assert client.logs.files("r1") == {}
    assert client.logs.tail("r1") == []
    requests_mock.get(SAS, [{"status_code": 404}, {"status_code": 416}])
    assert client.logs.read_file(SAS) == client.logs.read_file(SAS, 10) == b""


def test_reading_a_log_from_where_we_were(client, requests_mock):
    """A range is asked for; a store that ignores it gives the same bytes."""
    requests_mock.get(SAS, [{"status_code": 206, "content": b"world"}, {"status_code": 200, "content": b"hello world"}])
    assert client.logs.read_file(SAS, 6, limit=5) == b"world"
    assert requests_mock.last_request.headers["Range"] == "bytes=6-10"
    assert client.logs.read_file(SAS, 6, limit=5) == b"world"


def test_metrics(client, requests_mock):
    """The latest value of a scalar, all values of a list, a dict for a table's row."""
    requests_mock.get(MLFLOW, status_code=404)
    metric = regional("metric/v2.0") + "/runs/r1"
    kinds = {"acc": "azureml.v1.scalar", "loss": "azureml.v1.list", "table": "azureml.v1.table", "none": ""}
    requests_mock.post(
        f"{metric}/list",
        json={
            "value": [
                {"metricKey": {"name": name}, "properties": {"uxMetricType": kind}} for name, kind in kinds.items()
            ]
        },
    )
    rows = {
        "acc": [{"step": 2, "data": {"acc": 0.9}}, {"step": 1, "data": {"acc": 0.5}}],
        "loss": [{"data": {"loss": 3}}, {"data": {"loss": 2}}],
        "table": [{"data": {"a": 1, "b": 2}}],
        "none": [],
    }
    requests_mock.post(f"{metric}/full", json=lambda request, _: {"value": rows[request.json()["metricName"]]})
    assert client.metrics.latest("r1") == {"acc": 0.9, "loss": [3, 2], "table": {"a": 1, "b": 2}, "none": None}


MLFLOW = regional("mlflow/v1.0") + "/api/2.0/mlflow/runs/get"
ARTIFACTS = regional("artifact/v2.0") + "/artifacts"


def test_artifacts_are_listed_below_a_folder(client, requests_mock):
    """The container is the run's own; pages are followed; a folder's name is not a prefix of its neighbour's."""
    url = f"{ARTIFACTS}/ExperimentRun/dcid.r1"
    requests_mock.get(
        url,
        [
            {"json": {"value": [{"path": "outputs/model/a"}, {"path": "outputs/model2"}], "continuationToken": "c"}},
            {"json": {"value": [{"path": "outputs/model"}], "continuationToken": None}},
        ],
    )
    found = list(client.artifacts.list(Run.of(RUN), "outputs/model/"))
    assert [artifact.path for artifact in found] == ["outputs/model/a", "outputs/model"]
    assert requests_mock.last_request.qs == {"continuationtoken": ["c"]}
    assert list(client.artifacts.list(Run.of({"runId": "r1"}))) == []


def test_an_artifact_is_downloaded_below_the_folder(client, requests_mock, tmp_path, secrets):
    """The file's SAS URL is asked for and streamed without a bearer."""
    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1/contentinfo", json={"contentUri": SAS})
    requests_mock.get(SAS, content=b"model")
    path = client.artifacts.download(Run.of(RUN), "/outputs/model.pkl", tmp_path)
    assert path == tmp_path / "outputs" / "model.pkl"
    assert path.read_bytes() == b"model"
    assert "Authorization" not in requests_mock.last_request.headers
    assert "s1" in secrets


@pytest.mark.parametrize("path", ["../x", "outputs/../../x", "", "/", "outputs\\..\\..\\x"])
def test_a_path_that_leads_out_is_refused(client, requests_mock, tmp_path, path):
    """Neither the service nor a caller writes outside the folder."""
    with pytest.raises(errors.InputError):
        client.artifacts.download(Run.of(RUN), path, tmp_path)
    assert requests_mock.request_history == []


def test_a_link_that_leads_out_is_refused(client, tmp_path):
    """A link on the way to the target does not help either."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "outputs").symlink_to(tmp_path)
    with pytest.raises(errors.InputError, match="leads out"):
        client.artifacts.download(Run.of(RUN), "outputs/x", tmp_path / "in")


def test_a_run_without_outputs(client, tmp_path):
    """A run that has no container yet says so."""
    with pytest.raises(errors.NotFoundError, match="has no outputs"):
        client.artifacts.download(Run.of({"runId": "r1", "status": "Queued"}), "x", tmp_path)


def test_paths_quote_names(client):
    """A name never adds a level to a path."""
    assert client.runs.regional("history/v1.0", "runs", "a/../b?c") == f"{REGION}/history/v1.0{WS}/runs/a%2F..%2Fb%3Fc"
