"""Experiments and the run history: queries, filters, children, marks; and runs of a snapshot."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from client_support import regional

from airflow_azml.client.filters import run_filter
from airflow_azml.client.transport import errors

HISTORY = regional("history/v1.0")
EXECUTION = regional("execution/v1.0")
CONTENT = regional("content/v2.0")
RUN = {"runId": "r1", "status": "Running", "tags": {"a": "b"}}


def row(run_id, **fields):
    return {"runId": run_id, "status": "Completed", **fields}


def test_filters_in_the_clients_dialect():
    """Words bare, tag values in double quotes, times in UTC; conditions joined by and."""
    zone = dt.timezone(dt.timedelta(hours=2))
    assert run_filter() == ""
    assert run_filter(statuses=["Running", "Queued"]) == "(Status eq Running or Status eq Queued)"
    assert run_filter(
        tags={"team": "a b", "seen": None},
        properties={"azureml.x": "1"},
        compute_name="cpu",
        parent_run_id="p-1",
        created_after=dt.datetime(2026, 1, 1, 2, tzinfo=zone),
        roots_only=True,
    ) == (
        '(Tags/team eq "a b") and (Tags/seen ne null or Tags/seen eq null) and (Properties/azureml.x eq "1") and '
        "(Target eq cpu) and (ParentRunId eq p-1) and (CreatedUtc ge 2026-01-01T00:00:00Z) and (ParentRunId eq null)"
    )
    assert run_filter(created_after=dt.datetime(2026, 1, 1)) == "(CreatedUtc ge 2026-01-01T00:00:00Z)"  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize(
    "bad", [{"tags": {"a": 'x"y'}}, {"tags": {"a b": "x"}}, {"statuses": ["x or 1 eq 1"]}, {"compute_name": "a)"}]
)
def test_filters_cannot_be_broken_out_of(bad):
    """What would end a literal is refused."""
    with pytest.raises(errors.InputError, match="cannot be filtered by"):
        run_filter(**bad)


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


def test_experiments(client, requests_mock):
    """Listed by POST, changed and archived by their id."""
    raw = {"name": "exp", "experimentId": "e1", "description": None, "tags": {"a": "b"}}
    requests_mock.post(f"{HISTORY}/experiments:query", json={"value": [raw]})
    requests_mock.get(f"{HISTORY}/experiments/exp", json=raw)
    requests_mock.patch(f"{HISTORY}/experimentids/e1", json=raw)
    assert [(found.name, found.id, found.description) for found in client.experiments.list()] == [("exp", "e1", "")]
    assert requests_mock.last_request.json()["viewType"] == "ActiveOnly"
    assert client.experiments.create("exp").tags == {"a": "b"}
    client.experiments.update("exp", tags={"n": 1}, description="d")
    assert requests_mock.last_request.json() == {"tags": {"n": "1"}, "description": "d"}
    client.experiments.archive("exp")
    assert requests_mock.last_request.json() == {"archive": True}
    client.experiments.update("exp", tags={"a": "b"})
    client.experiments.archive("exp", restore=True)
    assert requests_mock.last_request.method == "GET"


def test_a_snapshot_run(client, requests_mock, tmp_path):
    """A place per file, the files, the tree; then a run of it with our id."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.py").write_text("x = 1")
    (tmp_path / "train.py").write_text("print(1)")
    (tmp_path / ".amlignore").write_text("secret*")
    (tmp_path / "secret.txt").write_text("no")
    blob = "https://sa.blob.core.windows.net/c"
    names = [".amlignore", "src/lib.py", "train.py"]
    nodes = [{"fullName": name, "blobUri": f"{blob}/{name}?sig=s1"} for name in names]
    requests_mock.post(f"{CONTENT}/snapshots/getblob", json={"fileNodes": nodes})
    stored = {}

    def keep(request, context):
        context.status_code = 201
        stored[request.path] = b"".join(request.body)
        return ""

    for name in names:
        requests_mock.put(f"{blob}/{name}", text=keep)
    created = requests_mock.post(requests_mock_any(f"{CONTENT}/snapshots/"), json={})
    requests_mock.post(f"{CONTENT}/snapshots/getblob", json={"fileNodes": nodes})
    snapshot = client.snapshots.upload(tmp_path, entry_script="train.py")
    assert stored["/c/src/lib.py"] == b"x = 1"
    body = created.last_request.json()
    assert created.last_request.path.endswith(snapshot)
    assert [node["FullName"] for node in body["FileRevisionList"]["FileNodes"]] == names
    root = body["DirTreeNode"]
    assert list(root["children"]) == [".amlignore", "src", "train.py"]
    leaf = root["children"]["src"]["children"]["lib.py"]
    assert leaf["hash"] == hashlib.sha512(b"x = 1lib.pyFile").hexdigest()
    assert root["children"]["src"]["hash"] == hashlib.sha512(bytes.fromhex(leaf["hash"])).hexdigest()

    requests_mock.get(f"{HISTORY}/experiments/exp", json={"name": "exp"})
    requests_mock.post(f"{EXECUTION}/experiments/exp/snapshotrun", json={"runId": "r1"})
    definition = {"configuration": {"script": "train.py"}}
    assert str(client.runs.start_snapshot("exp", snapshot, definition, "r1")) == "run r1"
    assert requests_mock.last_request.qs == {"runid": ["r1"]}
    assert requests_mock.last_request.json() == {**definition, "snapshotId": snapshot}


def requests_mock_any(prefix):
    import re  # noqa: PLC0415 - one use

    return re.compile(re.escape(prefix), re.IGNORECASE)


def test_a_snapshot_without_a_place_for_a_file(client, requests_mock, tmp_path):
    """Nothing is uploaded by halves."""
    (tmp_path / "train.py").write_text("print(1)")
    requests_mock.post(f"{CONTENT}/snapshots/getblob", json={"fileNodes": []})
    with pytest.raises(errors.ServiceError, match=r"no place was given for train\.py"):
        client.snapshots.upload(tmp_path)
