"""When the emulator itself fails: every answer is an error that clients can read, and no run is left unfinished."""

from __future__ import annotations

import errno
import logging
import sqlite3

import pytest
from emulator_process import WORKSPACE, wait_until
from in_process import running

from airflow_azml.emulator.computes import specs
from airflow_azml.emulator.runs import definitions, worker
from airflow_azml.emulator.runs.history import TERMINAL

SPEC = {"vmSize": "STANDARD_D1", "scaleSettings": {"minNodeCount": 1, "maxNodeCount": 1}}
COMPUTE = {"properties": {"computeType": "AmlCompute", "properties": SPEC}}
PLAIN = {"python": {"userManagedDependencies": True}}
RUN = {"command": "echo done > outputs/x", "target": "cpu", "environment": PLAIN}


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as site:
        yield site


def database_full():
    """The error that SQLite itself raises when it finds no space."""
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA max_page_count=1")
        with pytest.raises(sqlite3.OperationalError) as full:
            database.execute("CREATE TABLE t (x)")
    return full.value


def fails(error):
    def fail(*_, **__):
        raise error

    return fail


FULL = [database_full(), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Quota exceeded")]
FAILURES = [(KeyError("row"), 500, "InternalServerError"), *((error, 507, "InsufficientStorage") for error in FULL)]


@pytest.mark.parametrize(("error", "status", "code"), FAILURES)
def test_an_unexpected_error_has_the_planes_envelope(site, monkeypatch, caplog, error, status, code):
    """Resource Manager, the run history and model management answer JSON with code, message and the request's id."""
    for place in (site.emulator.computes, site.emulator.models):
        monkeypatch.setattr(place, "list", fails(error))
    monkeypatch.setattr(site.emulator.runs, "experiments", fails(error))
    paths = (f"{WORKSPACE}/computes?api-version=2023-10-01", f"/history/v1.0{WORKSPACE}/experiments")
    for path in (*paths, f"/modelmanagement/v1.0{WORKSPACE}/models"):
        answer = site.http.get(path, headers=site.headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        body = answer.json()
        said = body.get("error", body)
        assert said.get("innerError", said)["code"] == code
        assert said["message"]
        request_id = answer.headers["x-ms-request-id"]
        assert any(request_id in record.getMessage() and record.exc_info for record in caplog.records)


def test_blob_storage_answers_in_xml(site, monkeypatch):
    """A full disk is an error of blob storage's own form."""
    monkeypatch.setattr(site.emulator.blobs, "create_container", fails(FULL[1]))
    answer = site.http.put(f"/_blob/azuremllocal/new?restype=container&{signature(site)}")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (507, "InsufficientStorage")
    assert answer.text.startswith("<?xml")


def signature(site):
    return site.emulator.blobs.sas("https://testserver", "new", permissions="rcwl").partition("?")[2]


def test_a_run_ends_when_the_disk_has_space_again(site, monkeypatch, caplog):
    """While nothing can be written the run is still active; then it ends as its script did, with its files."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(worker, "RETRY", 0.05)
    advance, full = site.emulator.runs.advance, [True]

    def advance_when_there_is_space(run_id, status, **members):
        if full and status in {"Finalizing", *TERMINAL}:
            raise FULL[0]
        return advance(run_id, status, **members)

    monkeypatch.setattr(site.emulator.runs, "advance", advance_when_there_is_space)
    site.emulator.computes.put("cpu", specs.read("cpu", COMPUTE))
    site.emulator.executor.submit("exp", "r1", RUN, definitions.read(RUN, "r1"), None)
    wait_until(lambda: "r1 cannot end while the disk is full" in caplog.text)
    assert site.emulator.runs.get("r1")["status"] == "Running"
    full.clear()
    wait_until(lambda: site.emulator.runs.get("r1")["status"] in TERMINAL)
    assert site.emulator.runs.get("r1")["status"] == "Completed"
    assert site.emulator.blobs.path("azureml", "ExperimentRun/dcid.r1/outputs/x").read_text() == "done\n"


def test_a_run_that_could_not_end_is_finished_by_the_next_emulator(tmp_path, monkeypatch, caplog):
    """Stopped while the disk is full, the emulator leaves the run as it is; the next one does not run it again."""
    counting = {**RUN, "command": f"echo ran >> {tmp_path}/times"}
    monkeypatch.setattr(worker, "RETRY", 0.05)
    with running(tmp_path / "data") as site, monkeypatch.context() as full:
        full.setattr(site.emulator.runs, "advance", fails_at_the_end(site.emulator.runs.advance))
        site.emulator.computes.put("cpu", specs.read("cpu", COMPUTE))
        site.emulator.executor.submit("exp", "r1", counting, definitions.read(counting, "r1"), None)
        wait_until(lambda: "r1 cannot end while the disk is full" in caplog.text)
    with running(tmp_path / "data") as site:
        wait_until(lambda: site.emulator.runs.get("r1")["status"] in TERMINAL)
        assert site.emulator.runs.get("r1")["status"] == "Completed"
    assert (tmp_path / "times").read_text() == "ran\n"


def fails_at_the_end(advance):
    return lambda run_id, status, **members: (
        fails(FULL[0])() if status in {"Finalizing", *TERMINAL} else advance(run_id, status, **members)
    )
