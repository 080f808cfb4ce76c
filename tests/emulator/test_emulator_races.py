"""Requests that come at the same time: each is answered as if it had come before or after the others."""

from __future__ import annotations

import concurrent.futures
import sqlite3
import threading

import pytest
from emulator_process import WORKSPACE, wait_until
from in_process import running

from airflow_azml.emulator.kernel import facts

CALLS = 12
SCALE = {"minNodeCount": 0, "maxNodeCount": 2}
CLUSTER = {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_D1", "scaleSettings": SCALE}}
WEIGHTS = "azureml://datastores/workspaceblobstore/paths/weights"
KEY = {"location": "eastus", "properties": {"authMode": "Key"}}


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as site:
        site.emulator.blobs.write(facts.BLOBSTORE_CONTAINER, "weights", b"weights")
        yield site


def at_once(site, method, path, body=None, **query):
    """Send the same request many times at the same moment; return the answers."""
    together = threading.Barrier(CALLS)

    def call(_):
        together.wait()
        params = {"api-version": "2023-10-01", **query}
        return site.http.request(method, WORKSPACE + path, json=body, headers=site.headers, params=params)

    with concurrent.futures.ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(call, range(CALLS)))


def operations(site):
    """Wait until nothing is under way; return all operations by id."""
    found = {each["id"]: each for each in site.emulator.store.all("operation")}
    wait_until(lambda: all(site.emulator.operations.get(each)["status"] != "InProgress" for each in found))
    return {each["id"]: each for each in site.emulator.store.all("operation")}


def begun(answers):
    """The ids of the operations that answers lead to; some addresses have more than the id in their last part."""
    urls = (answer.headers["Azure-AsyncOperation"].partition("?")[0] for answer in answers)
    return {url.rpartition("/")[2].rpartition(":")[2] for url in urls}


@pytest.mark.parametrize(
    ("path", "body", "begins"),
    [
        ("/computes/cpu", {"location": "eastus", "properties": CLUSTER}, True),
        ("/onlineEndpoints/scoring", KEY, True),
        ("/models/m/versions/1", {"properties": {"modelUri": WEIGHTS}}, False),
        ("/models/m", {"properties": {}}, False),
        ("/codes/c/versions/1", {"properties": {"codeUri": WEIGHTS}}, False),
        ("/environments/e/versions/1", {"properties": {"image": "python"}}, False),
    ],
)
def test_identical_creations_all_succeed(site, path, body, begins):
    """All are answered 201 or 200, none 409; every operation is one that was answered, and comes to its end."""
    answers = at_once(site, "PUT", path, body)
    statuses = {answer.status_code for answer in answers}
    assert 201 in statuses
    assert statuses <= {200, 201}
    assert set(operations(site)) == (begun(answers) if begins else set())
    shown = site.http.get(WORKSPACE + path, headers=site.headers, params={"api-version": "2023-10-01"})
    assert shown.json()["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize("path", ["/computes/cpu", "/onlineEndpoints/scoring"])
def test_of_identical_deletions_none_fails(site, path):
    """Each is accepted, or finds nothing; every operation is one that was answered, and the resource is gone."""
    body = {"location": "eastus", "properties": CLUSTER} if "computes" in path else KEY
    first = site.http.put(WORKSPACE + path, json=body, headers=site.headers, params={"api-version": "2023-10-01"})
    assert operations(site)
    answers = at_once(site, "DELETE", path, underlyingResourceAction="Delete")
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert accepted
    assert {answer.status_code for answer in answers} <= {202, 204, 404}
    assert set(operations(site)) == begun([first, *accepted])
    gone = site.http.get(WORKSPACE + path, headers=site.headers, params={"api-version": "2023-10-01"})
    assert gone.status_code == 404


def test_an_incomplete_row_freezes_no_plane(tmp_path):
    """Rows of an older version, without members or without JSON, keep no plane from working."""
    rows = {"compute": '{"name": "old"}', "endpoint": "[]", "deployment": "{", "operation": "{}", "run": '"x"'}
    rows |= dict.fromkeys(("model", "experiment", "snapshot", "blob", "metric"), "{}")
    with running(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "emulator.sqlite") as database:
        database.executemany("INSERT INTO documents VALUES (?, 'old', ?)", rows.items())
    with running(tmp_path) as site:
        query = {"headers": site.headers, "params": {"api-version": "2023-10-01"}}
        for path, body in (
            ("computes", {"location": "eastus", "properties": CLUSTER}), ("onlineEndpoints", KEY),
        ):  # fmt: skip
            assert site.http.put(f"{WORKSPACE}/{path}/new", json=body, **query).status_code == 201
            wait_until(
                lambda path=path: (
                    [
                        (each["name"], each["properties"]["provisioningState"])
                        for each in site.http.get(f"{WORKSPACE}/{path}", **query).json()["value"]
                    ]
                    == [("new", "Succeeded")]
                )
            )
        for listed in (f"{WORKSPACE}/models", f"/history/v1.0{WORKSPACE}/experiments"):
            assert site.http.get(listed, **query).status_code == 200
        assert site.http.get("/_emulator/runs", headers=site.headers).json()["value"] == []
