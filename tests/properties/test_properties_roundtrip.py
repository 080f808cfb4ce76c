"""Client and emulator read the contract alike: names, filters and pages that the one writes, the other understands."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from emulator_process import WORKSPACE
from hypothesis import given
from hypothesis import strategies as st
from in_process import BASE, running
from properties_samples import CLUSTER_BODY, ENDPOINT_BODY, RUN

from airflow_azml.client import names
from airflow_azml.client.filters import run_filter
from airflow_azml.client.transport.errors import InputError
from airflow_azml.emulator.http import odata
from airflow_azml.emulator.runs.routes.history import FIELDS
from airflow_azml.emulator.storage.routes import artifacts

ARM, REGIONAL = {"api-version": "2023-10-01"}, {}
ALPHABET = "abzABZ019-_. :é\n"
LENGTHS = [0, 1, 22, 30, 31, 253, 254, 255, 256]
LONG = st.builds(
    lambda first, length, last: first + "a" * length + last,
    st.sampled_from(["a", "1", "-", "_"]),
    st.sampled_from(LENGTHS),
    st.sampled_from(["", "-", "1", "."]),
)
NAMES = st.text("aB1-_.", min_size=1, max_size=40) | st.text(ALPHABET, min_size=1, max_size=8) | LONG


def accepted(site, method, path, params, body) -> bool:
    """Create it; tell whether the emulator took the name."""
    answer = site.http.request(method, path, params=params, json=body, headers=site.headers)
    assert answer.status_code in {200, 201, 400, 501}, answer.text  # 501: `.` and `..` make it another path
    return answer.status_code in {200, 201}


def creation(kind, name):
    """How a thing of the name is created, as path below the service, query and body."""
    name = quote(name, safe="")
    history = f"/history/v1.0{WORKSPACE}/experiments"
    model = {"properties": {"modelUri": f"azureml://jobs/{RUN}/outputs/artifacts/paths/outputs/model.txt"}}
    return {
        "compute": ("PUT", f"{WORKSPACE}/computes/{name}", ARM, CLUSTER_BODY),
        "experiment": ("POST", f"{history}/{name}", REGIONAL, None),
        "run": ("PATCH", f"{history}/exp/runs/{name}", REGIONAL, {}),
        "endpoint": ("PUT", f"{WORKSPACE}/onlineEndpoints/{name}", ARM, ENDPOINT_BODY),
        "model": ("PUT", f"{WORKSPACE}/models/{name}/versions/1", ARM, model),
        "version": ("PUT", f"{WORKSPACE}/models/versions/versions/{name}", ARM, model),
        "asset": ("PUT", f"{WORKSPACE}/environments/{name}/versions/1", ARM, {"properties": {"image": "python"}}),
    }[kind]


CHECKS = {
    "compute": names.check_compute_name,
    "experiment": names.check_experiment_name,
    "run": names.check_run_id,
    "endpoint": names.check_endpoint_name,
    "model": names.check_model_name,
    "version": names.check_model_version,
    "asset": names.check_asset_name,
}


@pytest.mark.parametrize("kind", CHECKS)
def test_client_and_emulator_accept_the_same_names(site, kind):
    """What the client refuses, the emulator refuses, and the other way round."""

    @given(NAMES)
    def holds(name):
        try:
            CHECKS[kind](name)
            allowed = True
        except InputError:
            allowed = False
        assert accepted(site, *creation(kind, name)) == allowed, name

    holds()


WORDS = st.text("aZ9_.-", min_size=1, max_size=6)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\\'), max_size=8)
TAGS = st.dictionaries(WORDS, VALUES, max_size=3)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@st.composite
def runs(draw):
    """A run as the history renders it."""
    parent = draw(st.none() | WORDS)
    return {
        "runId": "r", "status": draw(st.sampled_from(["Running", "Queued", "Failed"])), "target": draw(WORDS),
        "tags": draw(TAGS), "properties": draw(TAGS), "createdUtc": draw(TIMES).isoformat(timespec="microseconds"),
        **({"parentRunId": parent} if parent else {}),
    }  # fmt: skip


@st.composite
def questions(draw, run):
    """Conditions of `run_filter`, some that the run fulfils and some that it may not."""

    def near(kind):
        known = {key: draw(st.sampled_from([value, None])) for key, value in run[kind].items()}
        return draw(st.sampled_from([{}, known]) | st.dictionaries(WORDS, st.none() | VALUES, max_size=2))

    return {
        "statuses": draw(st.lists(st.sampled_from(["Running", "Queued", "Failed"]), max_size=2)),
        "tags": near("tags"),
        "properties": near("properties"),
        "compute_name": draw(st.sampled_from(["", run["target"], "other"])),
        "parent_run_id": draw(st.sampled_from(["", run.get("parentRunId", "p")])),
        "created_after": draw(
            st.none() | TIMES | st.just(datetime.fromisoformat(run["createdUtc"]).replace(microsecond=0))
        ),
        "roots_only": draw(st.booleans()),
    }


def fulfils(run, asked) -> bool:
    """What the conditions mean, in plain words."""
    after = asked["created_after"]
    parent = run.get("parentRunId")
    return (
        (not asked["statuses"] or run["status"] in asked["statuses"])
        and all(run[kind].get(key, ...) in {value, ...} - {...} or (value is None and key in run[kind])
                for kind in ("tags", "properties") for key, value in asked[kind].items())
        and asked["compute_name"] in {"", run["target"]}
        and asked["parent_run_id"] in {"", parent}
        and (after is None or datetime.fromisoformat(run["createdUtc"]) >= after.replace(microsecond=0))
        and not (asked["roots_only"] and parent)
    )  # fmt: skip


@given(st.data())
def test_filters_mean_the_same_on_both_sides(data):
    """The filter that the client writes accepts exactly the runs that fulfil its conditions."""
    run = data.draw(runs())
    asked = data.draw(questions(run))
    written = run_filter(**asked)
    if written:
        assert odata.parse(written, FIELDS)(run) == fulfils(run, asked), written


HISTORY = f"{BASE}/history/v1.0{WORKSPACE}"
MANY = 7
# What is listed: method, address, the parameter for the size of a page, where it stands, and the name of an item.
LISTS = {
    "environments, nextLink": (
        "GET",
        f"{BASE}{WORKSPACE}/environments/e/versions?api-version=2023-10-01",
        "$top",
        "name",
    ),
    "models, nextLink": ("GET", f"{BASE}/modelmanagement/v1.0{WORKSPACE}/models?name=m", "count", "version"),
    "experiments, token in the body": ("POST", f"{HISTORY}/experiments:query", "top", "name"),
    "runs, token in the body": ("POST", f"{HISTORY}/experiments/exp-0/runs:query", "top", "runId"),
    "runs, nextLink": ("GET", f"{HISTORY}/experiments/exp-0/runs:query", "$top", "runId"),
    "children, nextLink": ("GET", f"{HISTORY}/runs/run-0/children", "$top", "runId"),
    "artifacts": ("GET", f"{BASE}/artifact/v2.0{WORKSPACE}/artifacts/ExperimentRun/dcid.run-0", "", "path"),
}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """An emulator with several of everything that comes in pages, and a client of it."""
    with running(tmp_path_factory.mktemp("crowded")) as site, site.client() as client:
        for number in range(MANY):
            client.experiments.create(f"exp-{number}")
            parent = {"parentRunId": "run-0"} if number else {}
            client.transport.json(
                "PATCH", f"{HISTORY}/experiments/exp-0/runs/run-{number}", operation="create run", json=parent
            )
            client.environments.create("e", {"image": f"python:{number}"})
            blob = f"{BASE}/_blob/azuremllocal/azureml/ExperimentRun/dcid.run-0/outputs/{number}"
            headers = {"x-ms-blob-type": "BlockBlob"}
            client.transport.request("PUT", blob, operation="upload", data=b"x", headers=headers)
        asset = {"name": "m", "artifacts": [{"prefix": "ExperimentRun/dcid.run-0/outputs/0"}]}
        management = f"{BASE}/modelmanagement/v1.0{WORKSPACE}"
        asset_id = client.transport.json("POST", f"{management}/assets", operation="create asset", json=asset)["id"]
        body = {"name": "m", "url": f"aml://asset/{asset_id}", "mimeType": "application/json"}
        for _ in range(MANY):
            client.transport.json("POST", f"{management}/models", operation="register", json=body)
        yield client


@pytest.mark.parametrize("what", LISTS)
def test_pages_hold_each_item_once(crowded, what, monkeypatch):
    """However large the pages are, following them gives what one page of everything gives, in the same order."""
    method, url, size_parameter, name = LISTS[what]

    def listed(size):
        told = {size_parameter: size}
        monkeypatch.setattr(artifacts, "PAGE_SIZE", size)
        options = {"json": told} if method == "POST" else {"params": told if size_parameter else None}
        rows = crowded.transport.pages(method, url, operation="list", token_parameter="continuationToken", **options)
        return [row[name] for row in rows]

    everything = listed(100)
    assert len(set(everything)) == len(everything) >= MANY - 1
    for size in range(1, MANY + 2):
        assert listed(size) == everything, size
