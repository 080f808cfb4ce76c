"""The run history: experiments, runs one by one and thousands at once, queries, tags, events, paths of all scopes."""

from __future__ import annotations

import pytest
from runs_support import HISTORY, Client


@pytest.fixture(scope="module")
def client(emulator):
    client = Client(emulator)
    client.ensure_compute(nodes=2)
    return client


@pytest.fixture(scope="module")
def finished(client):
    """A run that has completed."""
    run_id = client.start("print('hello')", "finished_1", arguments=["a"])
    client.wait(run_id)
    return run_id


def call(client, method, path, **options):
    answer = client.emulator.call(method, HISTORY + path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def make(client, experiment, number, **members):
    """Interactive runs, which cost no process."""
    runs = [{"runId": f"{experiment}_{index:04}", **members} for index in range(number)]
    return call(client, "PATCH", f"/experiments/{experiment}/batch/runs", json={"runs": runs})["runs"]


def test_an_experiment_is_created_once_and_found_by_name_and_id(client):
    """GET before POST is a 404; both ways lead to the same experiment."""
    assert client.emulator.call("GET", f"{HISTORY}/experiments/new").status_code == 404
    made = call(client, "POST", "/experiments/new")
    assert call(client, "POST", "/experiments/new") == made
    assert call(client, "GET", "/experiments/NEW") == made
    assert call(client, "GET", f"/experimentids/{made['experimentId']}")["name"] == "new"
    changes = {"description": "d", "tags": {"a": "b", "c": "d"}, "archive": True}
    changed = call(client, "PATCH", f"/experimentids/{made['experimentId']}", json=changes)
    assert (changed["description"], changed["tags"], "archivedTime" in changed) == ("d", {"a": "b", "c": "d"}, True)
    left = call(client, "DELETE", f"/experimentids/{made['experimentId']}/tags", json={"tags": ["a"]})
    assert left["tags"] == {"c": "d"}
    assert client.emulator.call("POST", f"{HISTORY}/experiments/-bad").status_code == 400


def test_experiments_are_queried(client):
    """Filter and pages work for experiments too."""
    for name in ("qa", "qb", "qc"):
        call(client, "POST", f"/experiments/{name}")
    assert [e["name"] for e in call(client, "POST", "/experiments:query", json={"filter": "name eq qb"})["value"]] == [
        "qb"
    ]
    first = call(client, "POST", "/experiments:query", json={"orderBy": "name asc", "top": 1})
    assert len(first["value"]) == 1
    rest = call(client, "POST", "/experiments:query", json={"top": 99, "orderBy": "name asc", **token(first)})
    assert {"qa", "qb", "qc"} <= {e["name"] for e in first["value"] + rest["value"]}


def test_experiments_are_listed(client):
    """`GET experiments`, which Microsoft's article on REST calls, returns all, or pages, or those of a filter."""
    for name in ("la", "lb"):
        call(client, "POST", f"/experiments/{name}")
    everything = call(client, "POST", "/experiments:query", json={})
    assert call(client, "GET", "/experiments?api-version=2019-11-01") == everything
    first = call(client, "GET", "/experiments?$top=1&$orderby=name asc")
    rest = client.emulator.call("GET", first["nextLink"]).json()
    assert [e["name"] for e in first["value"]] < [e["name"] for e in rest["value"]]
    assert [e["name"] for e in call(client, "GET", "/experiments?$filter=name eq lb")["value"]] == ["lb"]


def token(page):
    return {"continuationToken": page["continuationToken"]}


def test_a_run_is_found_in_every_scope(client, finished):
    """By experiment name, by experiment id and by itself it is one run; in another experiment it is none."""
    run = call(client, "GET", f"/runs/{finished}")
    assert call(client, "GET", f"/experiments/exp/runs/{finished}") == run
    assert call(client, "GET", f"/experimentids/{run['experimentId']}/runs/{finished}?api-version=v1.0") == run
    call(client, "POST", "/experiments/another")
    for path in (f"/experiments/another/runs/{finished}", "/runs/nobody", "/experimentids/nobody/runs/x"):
        answer = client.emulator.call("GET", HISTORY + path)
        assert answer.status_code == 404
        assert answer.json()["error"]["innerError"]["code"].endswith("NotFound")


def test_a_run_has_what_clients_need(client, finished):
    """Status as a string, ids, times, container, cancel address that works, no inner bookkeeping."""
    run = call(client, "GET", f"/runs/{finished}")
    assert run["runType"] == "azureml.scriptrun"
    assert (run["rootRunId"], run["target"], run["dataContainerId"]) == (finished, "cpu", f"dcid.{finished}")
    assert (run["tags"], run["properties"], run["warnings"], run["hidden"]) == ({}, {}, [], False)
    assert run["cancelUri"].startswith(client.emulator.url)
    assert "work" not in run
    assert client.emulator.call("POST", run["cancelUri"]).status_code == 400
    details = call(client, "GET", f"/runs/{finished}/details")
    assert details["runDefinition"]["arguments"] == ["a"]
    assert (details["inputDatasets"], details["outputDatasets"], details["status"]) == ([], [], "Completed")


def test_addresses_follow_the_callers_host(client, finished):
    """Every URL that is handed out leads back by the name that the caller used."""
    headers = {"Host": "elsewhere.localhost:443"}
    details = call(client, "GET", f"/runs/{finished}/details", headers=headers)
    assert details["logFiles"]["user_logs/std_log.txt"].startswith("http://elsewhere.localhost:443/_blob/")


def test_a_run_is_not_changed_under_another_id(client, finished):
    """A PATCH whose body names another run than its path is refused, in every scope, and changes neither."""
    for scope in (f"/experiments/{client.experiment}", ""):
        body = {"runId": "another", "tags": {"mine": "no"}}
        answer = client.emulator.call("PATCH", f"{HISTORY}{scope}/runs/{finished}", json=body)
        assert (answer.status_code, answer.json()["error"]["target"]) == (400, "runId")
    assert "mine" not in client.get(finished)["tags"]
    assert client.emulator.call("GET", f"{HISTORY}/runs/another").status_code == 404
    same = {"runId": finished, "tags": {"mine": "yes"}}
    assert call(client, "PATCH", f"/runs/{finished}", json=same)["tags"]["mine"] == "yes"


@pytest.mark.parametrize("query", [{"filter": "Colour eq red"}, {"filter": "Label/k eq v"}, {"orderBy": "Colour desc"}])
@pytest.mark.parametrize("path", ["/runs:query", "/experiments/exp/runs:query", "/experiments:query"])
def test_a_field_that_no_row_has_is_refused(client, finished, path, query):
    """A typing error in a filter or an order is a 400 that lists the fields, not an empty list."""
    assert finished
    answer = client.emulator.call("POST", HISTORY + path, json=query)
    assert (answer.status_code, answer.json()["error"]["innerError"]["code"]) == (400, "InvalidFilter")
    assert "experimentId" in answer.json()["error"]["message"]


def test_runs_are_counted_by_status(client):
    """Every status that azureml-core knows has its number; an unknown experiment is a 404."""
    for number, status in enumerate(("Running", "Completed", "Completed")):
        call(client, "PATCH", f"/experiments/counted/runs/counted_{number}", json={"status": status})
    counts = call(client, "GET", "/experiments/counted/runcounts")
    assert {name: count for name, count in counts.items() if count} == {"running": 1, "completed": 2}
    assert {"notStarted", "queued", "preparing", "failed", "canceled", "notResponding"} <= set(counts)
    assert client.emulator.call("GET", f"{HISTORY}/experiments/nobody/runcounts").status_code == 404


def test_tags_change_and_properties_only_grow(client):
    """PATCH merges tags; a property is set once; tags are removed by name; the revision grows with each change."""
    path = "/experiments/exp/runs/tagged_1"
    body = {"runId": "tagged_1", "tags": {"a": "1", "b": None}, "properties": {"p": "q"}, "hidden": True}
    made = call(client, "PATCH", path, json=body)
    assert (made["tags"], made["properties"], made["hidden"]) == ({"a": "1", "b": ""}, {"p": "q"}, True)
    changed = call(client, "PATCH", path, json={"Tags": {"a": "2"}, "displayName": "shown", "properties": {"r": "s"}})
    assert (changed["tags"], changed["displayName"]) == ({"a": "2", "b": ""}, "shown")
    assert changed["revision"] > made["revision"]
    assert call(client, "PATCH", path, json={"properties": {"p": "q"}})["revision"] == changed["revision"]
    assert client.emulator.call("PATCH", HISTORY + path, json={"properties": {"p": "other"}}).status_code == 400
    assert call(client, "DELETE", f"{path}/tags", json=["a"])["tags"] == {"b": ""}


def test_an_interactive_run_lives_by_its_events(client):
    """Start, warning, error and end of a run that its owner executes are taken over."""
    path = "/experiments/exp/runs/interactive_1"
    call(client, "PATCH", path, json={"runId": "interactive_1"})
    events = [
        {"name": "Microsoft.MachineLearning.Run.Start"},
        {"name": "Microsoft.MachineLearning.Run.Heartbeat"},
        {"name": "Microsoft.MachineLearning.Run.Warning", "data": {"source": "s", "message": "m"}},
        {"name": "Microsoft.MachineLearning.Run.Error", "data": {"errorResponse": {"error": {"message": "oh"}}}},
        {"name": "Microsoft.MachineLearning.Run.Failed"},
    ]
    for event in events:
        call(client, "POST", f"{path}/events", json=event)
    run = call(client, "GET", path)
    assert (run["status"], run["error"]["error"]["message"]) == ("Failed", "oh")
    assert run["warnings"] == [{"source": "s", "message": "m"}]
    assert run["startTimeUtc"] <= run["endTimeUtc"]
    assert client.emulator.call("POST", f"{HISTORY}{path}/events", json={"name": "Nonsense"}).status_code == 400


def test_events_in_a_batch_fail_one_by_one(client):
    """The event of an unknown run is handed back with the reason, the others count."""
    make(client, "batched", 1)
    name = "Microsoft.MachineLearning.Run.Completed"
    events = [{"name": name, "data": {"RunId": run_id}} for run_id in ("batched_0000", "nobody")]
    errors = call(client, "POST", "/experiments/batched/batch/events", json={"events": events})["errors"]
    assert [error["key"]["data"]["RunId"] for error in errors] == ["nobody"]
    assert client.get("batched_0000")["status"] == "Completed"


def test_nobody_completes_an_executed_run_from_outside(client):
    """A script that reports its own run as completed does not end it; only its process does."""
    run_id = client.start("import time; time.sleep(600)")
    client.wait(run_id, "Running")
    name = "Microsoft.MachineLearning.Run.Completed"
    call(client, "POST", f"/runs/{run_id}/events", json={"name": name})
    call(client, "PATCH", f"/runs/{run_id}", json={"status": "Failed"})
    assert client.get(run_id)["status"] == "Running"
    canceled = call(client, "POST", f"/runs/{run_id}/cancel?CancelationReason=enough")
    assert canceled["status"] in {"CancelRequested", "Canceled"}
    assert client.wait(run_id)["cancelationReason"] == "enough"


def test_children_are_found_through_their_parent(client):
    """Children name their parent and root; the list is paged by its nextLink."""
    make(client, "family", 1)
    runs = [{"runId": f"child_{number}", "parentRunId": "family_0000"} for number in range(5)]
    call(client, "PATCH", "/experiments/family/batch/runs", json={"runs": runs})
    page = call(client, "GET", "/runs/family_0000/children?$orderby=StartTimeUtc%20desc&$top=2")
    seen = page["value"]
    while "nextLink" in page:
        page = client.emulator.call("GET", page["nextLink"]).json()
        seen += page["value"]
    assert sorted(run["runId"] for run in seen) == [f"child_{number}" for number in range(5)]
    assert {run["rootRunId"] for run in seen} == {"family_0000"}


def test_runs_of_a_compute_are_listed(client, finished):
    """Across experiments, by the compute they were sent to."""
    runs = call(client, "GET", "/computes/CPU/runs?$filter=Status%20eq%20Completed")["value"]
    assert finished in {run["runId"] for run in runs}


def test_runs_are_queried_as_the_sdk_does(client):
    """Filter, `orderby`, pages by token in body or URL and by nextLink; the SDK's content type is accepted."""
    make(client, "many", 25, tags={"kind": "even"})
    headers = {"Content-Type": "application/json-patch+json; charset=utf-8"}
    body = '{"filter": "(Tags/kind eq \\"even\\")", "orderby": "RunId asc", "top": 10}'
    first = call(client, "POST", "/experiments/many/runs:query", data=body, headers=headers)
    assert [run["runId"] for run in first["value"]] == [f"many_{number:04}" for number in range(10)]
    query = {"filter": '(Tags/kind eq "even")', "orderBy": "RunId asc", "top": 10}
    second = call(client, "POST", "/experiments/many/runs:query", json={**query, **token(first)})
    linked = client.emulator.call("GET", first["nextLink"]).json()
    assert linked["value"] == second["value"]
    third = client.emulator.call("POST", second["nextLink"], json={}).json()
    assert [run["runId"] for run in third["value"]] == [f"many_{number:04}" for number in range(20, 25)]
    assert "continuationToken" not in third
    assert client.emulator.call("POST", f"{HISTORY}/experiments/nobody/runs:query", json={}).status_code == 404


def test_a_query_without_top_answers_all(client):
    """As the specification says."""
    make(client, "whole", 300)
    assert len(call(client, "POST", "/experiments/whole/runs:query", json={})["value"]) == 300


def test_thousands_of_runs_in_one_call(client):
    """All that exist are answered under the caller's keys, the others are named, in one request."""
    make(client, "bulk", 2000)
    requests = {f"k{number}": {"runId": f"bulk_{number:04}"} for number in range(3000)}
    answer = call(client, "POST", "/batchrundata?api-version=v1.0", json={"requests": requests})
    assert len(answer["successfulResults"]) == 2000
    assert answer["successfulResults"]["k7"]["runMetadata"]["runId"] == "bulk_0007"
    assert len(answer["failedResults"]) == 1000
    assert "bulk_2999" in answer["failedResults"]["k2999"]["error"]["message"]
    same = call(client, "POST", "/experiments/bulk/runs/runIds", json={"runIds": ["bulk_0001", "finished_1", "no"]})
    assert (list(same["runs"]), sorted(same["errors"])) == (["bulk_0001"], ["finished_1", "no"])


def test_one_run_may_be_asked_for_twice_in_a_batch(client, finished):
    """Two keys, whatever their case, one run."""
    asked = {"a": {"runId": finished}, "b": {"runId": finished.upper(), "selectRunDefinition": True}}
    answer = call(client, "POST", "/batchrundata", json={"requests": asked})["successfulResults"]
    assert {key: data["runMetadata"]["runId"] for key, data in answer.items()} == {"a": finished, "b": finished}
    assert answer["b"]["runDefinition"]["script"] == "main.py"
    assert call(client, "POST", "/rundata", json={"runId": finished})["runMetadata"]["status"] == "Completed"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/batchrundata", {"requests": []}),
        ("POST", "/batchrundata", {"requests": {"a": 1}}),
        ("POST", "/batchrundata", {"requests": {"a": {"runId": 1}}}),
        ("POST", "/batchrundata", []),
        ("POST", "/rundata", {}),
        ("POST", "/experiments/exp/runs/runIds", {"runIds": "x"}),
        ("POST", "/experiments/exp/runs/runIds", {"runIds": [1]}),
        ("POST", "/runs:query", {"filter": "nonsense"}),
        ("POST", "/runs:query", {"filter": {"a": 1}}),
        ("POST", "/runs:query", {"orderBy": ["x"], "top": "y"}),
        ("POST", "/experiments/exp/batch/events", {"events": {}}),
        ("PATCH", "/experiments/exp/batch/runs", {"runs": [{}]}),
        ("PATCH", "/experiments/exp/runs/-bad", {}),
        ("PATCH", "/experiments/exp/runs/odd_1", {"tags": []}),
        ("PATCH", "/experiments/exp/runs/odd_1", {"name": 1}),
        ("PATCH", "/experiments/-bad/runs/odd_1", {}),
        ("DELETE", "/runs/finished_1/tags", {"tags": 1}),
        ("POST", "/runs/finished_1/events", {"name": 1}),
    ],
)
def test_odd_bodies_are_refused(client, finished, method, path, body):
    """Wrong types answer 400, not an internal error."""
    assert finished
    assert client.emulator.call(method, HISTORY + path, json=body).status_code == 400
