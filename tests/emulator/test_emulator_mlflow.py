"""MLflow's REST API, driven by the real mlflow-skinny in the environment of a run, and route by route."""

from __future__ import annotations

import json

import pytest
import requests
from runs_support import HISTORY, WORKSPACE, Client

MLFLOW = f"/mlflow/v1.0{WORKSPACE}/api/2.0/mlflow"
SCRIPT = """
import json
import mlflow
from mlflow.tracking import MlflowClient

with mlflow.start_run() as run:
    mlflow.log_metric("acc", 0.5, step=1)
    mlflow.log_metrics({"acc": 0.75, "loss": 0.1}, step=2)
    mlflow.log_metric("odd", float("nan"))
    mlflow.log_param("depth", 3)
    mlflow.log_params({"rate": 0.1})
    mlflow.set_tag("team", "red")
    mlflow.log_dict({"a": 1}, "model/info.json")
client = MlflowClient()
seen = client.get_run(run.info.run_id)
history = client.get_metric_history(run.info.run_id, "acc")
found = client.search_runs([seen.info.experiment_id], "metrics.acc > 0.7 and params.depth = '3' and tags.team = 'red'")
files = [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run.info.run_id, "model")]
text = open(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model/info.json")).read()
try:
    client.log_param(run.info.run_id, "depth", 4)
    refused = ""
except mlflow.exceptions.MlflowException as error:
    refused = error.error_code

with mlflow.start_run(run_name="child", tags={"mlflow.parentRunId": run.info.run_id}) as own:
    mlflow.log_metric("own", 1)
try:
    with mlflow.start_run(run_name="breaks") as broken:
        raise ValueError("on purpose")
except ValueError:
    pass
mlflow.set_experiment(experiment_name="another")
elsewhere = mlflow.start_run()
mlflow.end_run()
json.dump({
    "run_id": run.info.run_id, "status": seen.info.status, "metrics": {k: str(v) for k, v in seen.data.metrics.items()},
    "params": seen.data.params, "tags": seen.data.tags, "history": [(m.value, m.step) for m in history],
    "found": [r.info.run_id for r in found], "files": files, "text": text, "refused": refused,
    "own": own.info.run_id, "broken": broken.info.run_id, "elsewhere": elsewhere.info.run_id,
}, open("outputs/result.json", "w"))
"""


@pytest.fixture(scope="module")
def finished(emulator):
    """A run whose script used mlflow-skinny in an environment built for it: the run, and what the script saw."""
    client = Client(emulator, experiment="tracked")
    client.ensure_compute()
    packages = {"dependencies": [{"pip": ["mlflow-skinny>=2.22,<4"]}]}
    environment = {"python": {"userManagedDependencies": False, "condaDependencies": packages}}
    run_id = client.start(SCRIPT, environment=environment)
    run = client.wait(run_id, seconds=240)
    assert run["status"] == "Completed", client.log(run_id)
    path = f"{HISTORY}/experiments/tracked/runs/{run_id}/artifacts/artifacturi"
    uri = emulator.call("GET", path, params={"path": "outputs/result.json"}).json()
    return run, requests.get(uri, timeout=10).json()


def test_mlflow_inside_a_run_is_that_run(emulator, finished):
    """What the script logged through MLflow is on its own run, and reads back in MLflow as it was written."""
    run, seen = finished
    assert seen["run_id"] == run["runId"]
    assert seen["metrics"] == {"acc": "0.75", "loss": "0.1", "odd": "nan"}
    assert seen["params"] == {"depth": "3", "rate": "0.1"}
    assert seen["history"] == [[0.5, 1], [0.75, 2]]
    assert seen["found"] == [run["runId"]]
    assert run["tags"]["team"] == "red"
    assert seen["refused"] == "INVALID_PARAMETER_VALUE"
    body = {"metricName": "acc"}
    rows = emulator.call("POST", f"/metric/v2.0{WORKSPACE}/runs/{run['runId']}/full", json=body).json()["value"]
    assert [row["data"]["acc"] for row in rows] == [0.5, 0.75]


def test_the_end_of_an_mlflow_run_does_not_end_the_run(finished):
    """MLflow says FINISHED when its `with` block ends; the run goes on until its script does."""
    run, seen = finished
    assert seen["status"] == "RUNNING"
    assert run["status"] == "Completed"


def test_artifacts_logged_by_mlflow_are_the_artifacts_of_the_run(emulator, finished):
    """`log_dict` writes into the run's own container, and MLflow lists and downloads it."""
    run, seen = finished
    assert seen["files"] == [["model/info.json", False, len(seen["text"])]]
    assert json.loads(seen["text"]) == {"a": 1}
    path = f"/artifact/v2.0{WORKSPACE}/artifacts/ExperimentRun/{run['dataContainerId']}/content"
    assert emulator.call("GET", path, params={"path": "model/info.json"}).text == seen["text"]
    listed = emulator.call("GET", f"{MLFLOW}/artifacts/list", params={"run_id": run["runId"], "path": "model"}).json()
    assert [file["path"] for file in listed["files"]] == ["model/info.json"]
    root = emulator.call("GET", f"{MLFLOW}/artifacts/list", params={"run_id": run["runId"]}).json()["files"]
    assert {"path": "model", "is_dir": True} in root


def test_a_run_that_mlflow_starts_ends_as_mlflow_says(emulator, finished):
    """Interactive runs are in the history with their name, parent, metrics and the end that MLflow reported."""
    run, seen = finished
    own = emulator.call("GET", f"{HISTORY}/runs/{seen['own']}").json()
    assert (own["status"], own["displayName"], own["parentRunId"]) == ("Completed", "child", run["runId"])
    assert emulator.call("GET", f"{HISTORY}/runs/{seen['broken']}").json()["status"] == "Failed"
    elsewhere = emulator.call("GET", f"{HISTORY}/experiments/another/runs/{seen['elsewhere']}").json()
    assert elsewhere["status"] == "Completed"


@pytest.fixture
def create(emulator):
    """Creates runs of an experiment through MLflow."""
    experiment = emulator.call("GET", f"{MLFLOW}/experiments/get", params={"experiment_id": "0"}).json()["experiment"]

    def one(**members):
        body = {"experiment_id": experiment["experiment_id"], **members}
        return emulator.call("POST", f"{MLFLOW}/runs/create", json=body).json()["run"]["info"]["run_id"]

    one.experiment_id = experiment["experiment_id"]
    return one


def _batch(emulator, run_id, **parts):
    return emulator.call("POST", f"{MLFLOW}/runs/log-batch", json={"run_id": run_id, **parts})


def test_search_filters_orders_and_pages(emulator, create):
    """The search language reaches metrics, params, tags and attributes; what lacks a field is last in its order."""
    ids = [create(run_name=f"search-{number}", tags=[{"key": "group", "value": "s"}]) for number in range(4)]
    for number, run_id in enumerate(ids[:3]):
        metrics = [{"key": "acc", "value": number / 10, "timestamp": 1000, "step": 0}]
        _batch(emulator, run_id, metrics=metrics, params=[{"key": "n", "value": str(number)}])

    def found(expression="", *order, **more):
        body = {"experiment_ids": [create.experiment_id], "order_by": list(order), **more}
        expression = "tags.group = 's'" + (f" and {expression}" if expression else "")
        answer = emulator.call("POST", f"{MLFLOW}/runs/search", json={**body, "filter": expression})
        assert answer.status_code == 200, answer.text
        return [ids.index(run["info"]["run_id"]) for run in answer.json().get("runs", [])]

    assert found("", "metrics.acc DESC") == [2, 1, 0, 3]
    assert found("", "attributes.run_name ASC") == [0, 1, 2, 3]
    assert sorted(found("metrics.acc >= 0.1")) == [1, 2]
    assert found("params.n = '2'") == [2]
    assert sorted(found("params.n != '2'")) == [0, 1]
    assert found("run_name LIKE 'search-_' AND attributes.run_name ILIKE '%SEARCH-3'") == [3]
    assert sorted(found("status = 'RUNNING'")) == [0, 1, 2, 3]
    assert found("", "run_name", max_results=2) == [0, 1]
    assert found("", "run_name", max_results=2, page_token="2") == [2, 3]
    emulator.call("POST", f"{MLFLOW}/runs/delete", json={"run_id": ids[0]})
    assert found("", "run_name") == [1, 2, 3]
    assert found("", run_view_type="DELETED_ONLY") == [0]
    emulator.call("POST", f"{MLFLOW}/runs/restore", json={"run_id": ids[0]})
    assert found("", "run_name") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "body",
    [
        {"filter": "metrics.acc >"},
        {"filter": "metrics.acc > 1 or metrics.acc < 0"},
        {"filter": "tags.a = 'b' and "},
        {"filter": "nothing.acc = 1"},
        {"order_by": ["metrics.acc SIDEWAYS"]},
        {"order_by": "metrics.acc"},
        {"page_token": "x"},
        {"experiment_ids": "0"},
    ],
)
def test_a_search_that_cannot_be_read_is_refused_in_mlflow_words(emulator, create, body):
    """The answer is MLflow's own error, with its code."""
    create()
    answer = emulator.call("POST", f"{MLFLOW}/runs/search", json={"experiment_ids": ["0"], **body})
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_batch_that_cannot_be_written_whole_is_not_written(emulator, create):
    """A parameter that has another value refuses the metrics and tags beside it."""
    run_id = create()
    first = _batch(emulator, run_id, params=[{"key": "Depth", "value": "1"}, {"key": "depth", "value": "2"}])
    assert first.status_code == 200
    metrics = [{"key": "acc", "value": 1.0, "timestamp": 1, "step": 0}]
    for bad in (
        {"params": [{"key": "depth", "value": "9"}], "metrics": metrics, "tags": [{"key": "t", "value": "v"}]},
        {"metrics": [*metrics, {"key": "acc", "value": "many"}]},
        {"metrics": [{"key": "acc", "value": 1, "step": "x"}]},
        {"metrics": [{"key": "acc", "value": 1, "timestamp": 10**18}]},
        {"metrics": "none"},
        {"params": [1]},
    ):
        assert _batch(emulator, run_id, **bad).status_code == 400
    data = emulator.call("GET", f"{MLFLOW}/runs/get", params={"run_id": run_id}).json()["run"]["data"]
    assert data["metrics"] == []
    assert data["tags"] == []
    assert data["params"] == [{"key": "Depth", "value": "1"}, {"key": "depth", "value": "2"}]


def test_experiments_are_made_once_and_found_by_name(emulator):
    """Creating one twice is MLflow's RESOURCE_ALREADY_EXISTS; it is the experiment of the run history."""
    body = {"name": "made", "tags": [{"key": "a", "value": "b"}]}
    experiment_id = emulator.call("POST", f"{MLFLOW}/experiments/create", json=body).json()["experiment_id"]
    again = emulator.call("POST", f"{MLFLOW}/experiments/create", json=body)
    assert (again.status_code, again.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")
    named = emulator.call("GET", f"{MLFLOW}/experiments/get-by-name", params={"experiment_name": "made"}).json()
    assert named["experiment"]["experiment_id"] == experiment_id
    assert named["experiment"]["tags"] == body["tags"]
    assert emulator.call("GET", f"{HISTORY}/experiments/made").json()["experimentId"] == experiment_id
    listed = emulator.call("POST", f"{MLFLOW}/experiments/search", json={}).json()["experiments"]
    assert named["experiment"] in listed
    absent = emulator.call("GET", f"{MLFLOW}/experiments/get-by-name", params={"experiment_name": "absent"})
    assert (absent.status_code, absent.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_tags_come_and_go(emulator, create):
    """A tag that was set can be deleted; a run that does not exist is MLflow's 404."""
    run_id = create()
    emulator.call("POST", f"{MLFLOW}/runs/set-tag", json={"run_id": run_id, "key": "a", "value": "b"})
    emulator.call("POST", f"{MLFLOW}/runs/set-tag", json={"run_id": run_id, "key": "c", "value": "d"})
    emulator.call("POST", f"{MLFLOW}/runs/delete-tag", json={"run_id": run_id, "key": "a"})
    assert emulator.call("GET", f"{HISTORY}/runs/{run_id}").json()["tags"] == {"c": "d"}
    renamed = emulator.call("POST", f"{MLFLOW}/runs/update", json={"run_id": run_id, "run_name": "new"}).json()
    assert (renamed["run_info"]["run_name"], renamed["run_info"]["status"]) == ("new", "RUNNING")
    assert emulator.call("POST", f"{MLFLOW}/runs/update", json={"run_id": run_id, "status": "X"}).status_code == 400
    absent = emulator.call("POST", f"{MLFLOW}/runs/set-tag", json={"run_id": "absent", "key": "a", "value": "b"})
    assert (absent.status_code, absent.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
