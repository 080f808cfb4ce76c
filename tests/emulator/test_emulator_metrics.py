"""Metrics: written once through any of the services, read through all of them."""

from __future__ import annotations

import json
import uuid

import pytest
from runs_support import HISTORY, WORKSPACE

METRIC, MLFLOW = f"/metric/v2.0{WORKSPACE}/runs", f"/mlflow/v1.0{WORKSPACE}/api/2.0/mlflow"
OLD = f"{HISTORY}/experiments/measured"


@pytest.fixture
def run(emulator):
    """An interactive run of its own."""
    run_id = f"measured_{uuid.uuid4().hex[:8]}"
    assert emulator.call("PATCH", f"{OLD}/runs/{run_id}", json={"runId": run_id}).ok
    return run_id


def _scalar(name, value, **row):
    """A metric as azureml-core's `run.log` posts it."""
    return {
        "name": name,
        "columns": {name: "double"},
        "value": [{"metricId": str(uuid.uuid4()), "data": {name: value}, **row}],
        "properties": {"uxMetricType": "azureml.v1.scalar"},
    }


def _post(emulator, run, *values):
    answer = emulator.call("POST", f"{METRIC}/{run}/batch", json={"values": list(values), "reportErrors": True})
    assert answer.status_code == 200, answer.text
    return answer.json()["errors"]


def _full(emulator, run, name, **body):
    return emulator.call("POST", f"{METRIC}/{run}/full", json={"metricName": name, **body})


def test_what_is_posted_is_listed_and_read(emulator, run):
    """List names each metric once, full gives every value with its step and time."""
    moment = "2026-11-01T00:00:00.000000+00:00"
    assert _post(emulator, run, _scalar("acc", 0.5, step=1, createdUtc=moment), _scalar("loss", 2)) == []
    _post(emulator, run, _scalar("acc", 0.75, step=2))
    listed = emulator.call("POST", f"{METRIC}/{run}/list", json={}).json()["value"]
    assert [one["metricKey"]["name"] for one in listed] == ["acc", "loss"]
    assert listed[0]["columns"] == {"acc": "double"}
    assert listed[0]["properties"] == {"uxMetricType": "azureml.v1.scalar"}
    full = _full(emulator, run, "acc").json()
    assert (full["name"], full["dataContainerId"]) == ("acc", f"dcid.{run}")
    assert [(row["step"], row["data"]) for row in full["value"]] == [(1, {"acc": 0.5}), (2, {"acc": 0.75})]
    assert full["value"][0]["createdUtc"] == moment


@pytest.mark.parametrize(("written", "read"), [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity")])
def test_a_number_that_is_none_is_kept(emulator, run, written, read):
    """`Run.log("x", float("nan"))` sends a word that JSON does not have; it is answered as text, by both services."""
    body = json.dumps({"values": [_scalar("odd", float(written))]})
    assert written in body
    headers = {"Content-Type": "application/json"}
    answer = emulator.call("POST", f"{METRIC}/{run}/batch", data=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"errors": []})
    assert _full(emulator, run, "odd").json()["value"][0]["data"] == {"odd": read}
    old = json.dumps({"metricId": str(uuid.uuid4()), "name": "old", "cells": [{"old": float(written)}]})
    assert emulator.call("POST", f"{OLD}/runs/{run}/metrics", data=old, headers=headers).status_code == 200
    assert _full(emulator, run, "old").json()["value"][0]["data"] == {"old": read}


def test_a_repeated_post_counts_once(emulator, run):
    """A client that repeats a post after a lost answer does not double its metrics."""
    metric = _scalar("acc", 0.5)
    for _ in range(3):
        _post(emulator, run, metric)
    assert len(_full(emulator, run, "acc").json()["value"]) == 1


def test_metrics_survive_a_kill(fresh_emulator):
    """What was answered with 200 is there after the emulator was killed."""
    fresh_emulator.call("PATCH", f"{OLD}/runs/kept", json={"runId": "kept"})
    _post(fresh_emulator, "kept", _scalar("acc", 0.5))
    fresh_emulator.kill()
    fresh_emulator.start()
    assert _full(fresh_emulator, "kept", "acc").json()["value"][0]["data"] == {"acc": 0.5}


def test_long_series_come_in_pages_and_in_samples(emulator, run):
    """Pages lose and repeat nothing; a sample keeps the first and the last value."""
    series = _scalar("long", 0)
    series["value"] = [{"metricId": str(uuid.uuid4()), "data": {"long": n}, "step": n} for n in range(5100)]
    _post(emulator, run, series)
    first = _full(emulator, run, "long").json()
    second = _full(emulator, run, "long", continuationToken=first["continuationToken"]).json()
    assert "continuationToken" not in second
    assert [row["step"] for row in first["value"] + second["value"]] == list(range(5100))
    sample = emulator.call("POST", f"{METRIC}/{run}/sample", json={"metricName": "long"}).json()["value"]
    assert len(sample) <= 1000
    assert (sample[0]["step"], sample[-1]["step"]) == (0, 5099)


def test_values_are_narrowed_by_time(emulator, run):
    """A start and an end time bound what full answers."""
    for day in (1, 2, 3):
        _post(emulator, run, _scalar("day", day, createdUtc=f"2026-01-0{day}T12:00:00Z"))
    found = _full(emulator, run, "day", startTime="2026-01-02T00:00:00Z", endTime="2026-01-02T23:00:00Z").json()
    assert [row["data"]["day"] for row in found["value"]] == [2]


def test_a_metric_of_the_old_route_is_a_metric_of_the_new_one(emulator, run):
    """The specification's `Metric` and the metric service's rows are the same metric."""
    metric = {
        "metricId": str(uuid.uuid4()),
        "name": "table",
        "metricType": "azureml.v1.table",
        "cells": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "schema": {"numProperties": 2, "properties": [{"propertyId": "a", "name": "a", "type": "int"}]},
    }
    assert emulator.call("POST", f"{OLD}/runs/{run}/metrics", json=metric).status_code == 200
    assert emulator.call("POST", f"{OLD}/runs/{run}/batch/metrics", json={"values": [metric]}).status_code == 200
    assert [row["data"] for row in _full(emulator, run, "table").json()["value"]] == metric["cells"]
    body = {"filter": f'(RunId eq {run}) and (Name eq "table")'}
    queried = emulator.call("POST", f"{OLD}/metrics:query", json=body).json()["value"]
    assert [(one["runId"], one["cells"], one["numCells"]) for one in queried] == [(run, metric["cells"], 2)]
    assert queried[0] == emulator.call("GET", f"{OLD}/metrics/{metric['metricId']}").json()
    assert emulator.call("GET", f"{OLD}/runs/{run}/metricsingest/wait").status_code == 200


def test_queries_of_the_old_route_come_in_pages(emulator, run):
    """`top` and the token lead through a run's metrics in the order of their times."""
    for number in range(5):
        _post(emulator, run, _scalar("n", number))
    body = {"filter": f"RunId eq {run}", "top": 2}
    page = emulator.call("POST", f"{OLD}/metrics:query", json=body).json()
    seen = page["value"]
    while "continuationToken" in page:
        by_link = emulator.call("GET", page["nextLink"]).json()
        page = emulator.call(
            "POST", f"{OLD}/metrics:query", json={**body, "continuationToken": page["continuationToken"]}
        ).json()
        assert by_link["value"] == page["value"]
        seen += page["value"]
    assert [metric["cells"][0]["n"] for metric in seen] == list(range(5))


def test_mlflow_and_the_metric_service_see_the_same(emulator, run):
    """A metric logged by either is read by the other."""
    _post(emulator, run, _scalar("service", 1.5, step=3))
    logged = {"run_id": run, "key": "mlflow", "value": 2.5, "timestamp": 1_800_000_000_000, "step": "4"}
    assert emulator.call("POST", f"{MLFLOW}/runs/log-metric", json=logged).status_code == 200
    row = _full(emulator, run, "mlflow").json()["value"][0]
    assert (row["data"], row["step"], row["createdUtc"]) == ({"mlflow": 2.5}, 4, "2027-01-15T08:00:00.000000+00:00")
    data = emulator.call("GET", f"{MLFLOW}/runs/get", params={"run_id": run}).json()["run"]["data"]
    values = {metric["key"]: (metric["value"], metric["step"]) for metric in data["metrics"]}
    assert values == {"service": (1.5, 3), "mlflow": (2.5, 4)}


def test_bad_metrics_are_handed_back_and_the_others_kept(emulator, run):
    """Each metric of a batch that cannot be read is named with its reason."""
    bad = [
        {"columns": {}},
        "text",
        {**_scalar("x", 1), "value": "none"},
        {**_scalar("x", 1), "columns": {"x": 1}},
        _scalar("x", 1, step="one"),
        _scalar("x", 1, createdUtc="yesterday"),
        {**_scalar("x", 1), "value": [{"data": [1]}]},
    ]
    errors = _post(emulator, run, *bad, _scalar("good", 1))
    assert [error["metric"] for error in errors] == bad
    assert all(error["errorResponse"]["error"]["message"] for error in errors)
    listed = emulator.call("POST", f"{METRIC}/{run}/list", json={}).json()["value"]
    assert [one["metricKey"]["name"] for one in listed] == ["good"]


def test_what_is_not_there_answers_404(emulator, run):
    """An unknown run or metric is a 404 through every route; a bad token or list is a 400."""
    assert _full(emulator, run, "absent").status_code == 404
    assert emulator.call("POST", f"{METRIC}/absent/list", json={}).status_code == 404
    assert emulator.call("POST", f"{METRIC}/absent/batch", json={"values": []}).status_code == 404
    assert emulator.call("GET", f"{OLD}/metrics/{uuid.uuid4()}").status_code == 404
    assert emulator.call("POST", f"{METRIC}/{run}/batch", json={"values": "none"}).status_code == 400
    _post(emulator, run, _scalar("acc", 1))
    assert _full(emulator, run, "acc", continuationToken="x").status_code == 400
    assert _full(emulator, run, 7).status_code == 400
