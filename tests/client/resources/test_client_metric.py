"""Metrics of a run that has ended: all that it has logged, in few requests, and no more than an XCom may hold."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from client_support import REGION, regional

from airflow_azml.client.lifecycle import Observation, Phase, Target
from airflow_azml.client.resources import metric, run

RUN = Target("runs", "r1", "exp")


COMPLETED = Observation(Phase.SUCCEEDED, "Completed")


HISTORY = regional("history/v1.0")


INGEST = f"{HISTORY}/experiments/exp/runs/r1/metricsingest/wait"


LIST = f"{regional('metric/v2.0')}/runs/r1/list"


FULL = f"{regional('metric/v2.0')}/runs/r1/full"


LAST = f"{regional('mlflow/v1.0')}/api/2.0/mlflow/runs/get"


LATER = f"{REGION}/history/v1.0/ingestions/1"


def kinds(**by_name):
    rows = [
        {"metricKey": {"name": name}, "properties": {"uxMetricType": f"azureml.v1.{kind}"}}
        for name, kind in by_name.items()
    ]
    return {"value": rows}


def last_values(**by_name):
    rows = [{"key": name, "value": value, "step": 999} for name, value in by_name.items()]
    return {"run": {"data": {"metrics": rows}}}


@pytest.fixture
def ended(requests_mock):
    """A run that has completed, and whose metrics are ingested."""
    requests_mock.get(f"{HISTORY}/runs/r1", json={"runId": "r1", "status": "Completed"})
    requests_mock.get(INGEST, json={})
    requests_mock.post(LIST, json=kinds(acc="scalar", loss="scalar"))
    requests_mock.get(LAST, json=last_values(acc=0.9, loss=0.1))


def asked(mock, url):
    return [one for one in mock.request_history if one.url.startswith(url)]


@pytest.mark.usefixtures("ended")
def test_a_result_waits_for_metrics_that_lag_behind_the_runs_end(client, requests_mock):
    """They are read only after the service says that all have arrived; it names the address to ask."""
    requests_mock.get(INGEST, status_code=202, headers={"Location": LATER})
    requests_mock.get(LATER, [{"status_code": 202}, {"json": {}}])
    requests_mock.post(LIST, json=lambda *_: kinds(acc="scalar") if len(asked(requests_mock, LATER)) == 2 else kinds())
    assert client.result(RUN, COMPLETED)["metrics"] == {"acc": 0.9}
    assert len(asked(requests_mock, INGEST)) == 1


@pytest.mark.usefixtures("ended")
def test_the_wait_for_metrics_is_bounded(client, requests_mock, monkeypatch, caplog):
    """A service that never says so delays the end of the task a little, and the log says what that means."""
    monkeypatch.setattr(metric, "time", SimpleNamespace(monotonic=lambda: sum(client.slept)))
    requests_mock.get(INGEST, status_code=202)
    assert client.result(RUN, COMPLETED)["metrics"] == {"acc": 0.9, "loss": 0.1}
    assert sum(client.slept) == metric.INGESTED_WITHIN
    assert "run r1: its metrics may be incomplete, they are still being written" in caplog.text


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("status", [403, 404, 501])
def test_a_service_that_does_not_tell_when_metrics_have_arrived_is_read_at_once(client, requests_mock, status):
    """Whatever it answers to that question, the metrics are in the result."""
    requests_mock.get(INGEST, status_code=status)
    assert client.result(RUN, COMPLETED)["metrics"] == {"acc": 0.9, "loss": 0.1}


def test_sixty_metrics_of_a_thousand_steps_are_two_requests(client, requests_mock):
    """The names, then the last values of all of them; no step of any is read."""
    names = [f"m{number}" for number in range(60)]
    requests_mock.post(LIST, json=kinds(**dict.fromkeys(names, "scalar")))
    requests_mock.get(LAST, json=last_values(**{name: float(number) for number, name in enumerate(names)}))
    before = len(requests_mock.request_history)
    client.metrics.latest("r1", ["m0"])  # the regional host is found
    there = requests_mock.call_count
    assert client.metrics.latest("r1") == {name: float(number) for number, name in enumerate(names)}
    assert (requests_mock.call_count - there, before) == (2, 0)


def test_metrics_that_mlflow_does_not_know_are_read_one_by_one(client, requests_mock):
    """Only those: the others are in the one answer."""
    requests_mock.post(LIST, json=kinds(acc="scalar", old="scalar"))
    requests_mock.get(LAST, json=last_values(acc=0.9))
    rows = [{"step": 2, "data": {"old": 5}}, {"step": 1, "data": {"old": 4}}]
    requests_mock.post(FULL, json={"value": rows})
    assert client.metrics.latest("r1") == {"acc": 0.9, "old": 5}
    assert [one.json()["metricName"] for one in asked(requests_mock, FULL)] == ["old"]


@pytest.mark.usefixtures("ended")
def test_a_result_without_metrics_asks_for_none(client, requests_mock):
    """`metrics=False`: the key is there, and nothing was read for it."""
    result = client.result(RUN, COMPLETED, metrics=False)
    assert (result["status"], result["metrics"]) == ("Completed", None)
    assert [asked(requests_mock, url) for url in (INGEST, LIST, LAST)] == [[], [], []]


@pytest.mark.usefixtures("ended")
def test_a_result_has_the_metrics_that_were_named(client):
    """One that the run did not log is None."""
    assert client.result(RUN, COMPLETED, metrics=["acc", "auc"])["metrics"] == {"acc": 0.9, "auc": None}


@pytest.mark.usefixtures("ended")
def test_a_result_holds_no_more_values_than_an_xcom_may(client, requests_mock, monkeypatch, caplog):
    """Of long lists the last values are in it, all lists together at most so many; the log says what is missing."""
    monkeypatch.setattr(run, "MOST_VALUES", 6)
    requests_mock.post(LIST, json=kinds(long="list", short="list"))
    values = {"long": range(200), "short": range(2)}
    requests_mock.post(
        FULL,
        json=lambda request, _: {
            "value": [{"data": {"x": value}} for value in values[request.json()["metricName"]]],
        },
    )
    assert client.result(RUN, COMPLETED)["metrics"] == {"long": [197, 198, 199], "short": [0, 1]}
    assert "of metric 'long' the last 3 of 200 values are shown" in caplog.text


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
