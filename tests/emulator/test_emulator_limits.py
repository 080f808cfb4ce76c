"""What grows is bounded: bodies, tags, requests that are half sent, operations that ended long ago."""

from __future__ import annotations

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest
from emulator_process import WORKSPACE
from in_process import running

from airflow_azml.emulator.host.server import _config, _Server
from airflow_azml.emulator.http import limits
from airflow_azml.emulator.kernel import operations

VERSION = {"api-version": "2023-10-01"}
HISTORY = f"/history/v1.0{WORKSPACE}"
TOO_LARGE = {
    "arm": (f"{WORKSPACE}/onlineEndpoints/scoring", 4 << 20),
    "data": (f"{HISTORY}/experiments/x/runs/r", 28 << 20),
    "modelmanagement": (f"/modelmanagement/v1.0{WORKSPACE}/models", 28 << 20),
    "mlflow": (f"/mlflow/v1.0{WORKSPACE}/api/2.0/mlflow/runs/create", 28 << 20),
    "metrics": (f"/metric/v2.0{WORKSPACE}/runs/r/full", 28 << 20),
}
METHODS = {"arm": "PUT", "data": "PATCH"}


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as site:
        yield site


def code_of(answer):
    """The service's error code, in whichever envelope of the planes."""
    body = answer.json()
    error = body.get("error", body)
    return error.get("innerError", {}).get("code") or error.get("code") or error["error_code"]


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("plane", TOO_LARGE)
def test_a_body_that_is_too_large_is_refused(site, plane, counted):
    """413 in the plane's envelope, whether its length is said before or it just goes on and on."""
    path, limit = TOO_LARGE[plane]
    site.emulator.runs.create("x", "r")
    body = b'{"tags": {"a": "' + b"x" * limit + b'"}}'
    content = body if counted else iter([body[:100], body[100:]])
    headers = {**site.headers, "Content-Type": "application/json"}
    answer = site.http.request(METHODS.get(plane, "POST"), path, content=content, headers=headers, params=VERSION)
    assert answer.status_code == 413, answer.text
    assert code_of(answer) in {"RequestContentTooLarge", "BAD_REQUEST"}
    assert f"{limit >> 20} MB" in answer.text


def test_a_run_definition_that_is_too_large_is_refused(site):
    """It was cut off, and then said to be no JSON."""
    definition = b'{"configuration": {"script": "' + b"x" * (10 << 20) + b'"}}'
    files = {"runDefinitionFile": ("definition.json", definition), "projectZipFile": ("p.zip", b"")}
    path = f"/execution/v1.0{WORKSPACE}/experiments/x/startrun"
    answer = site.http.post(path, files=files, headers=site.headers)
    assert (answer.status_code, code_of(answer)) == (413, "RequestContentTooLarge")


def test_tags_do_not_grow_without_end(site):
    """Many small changes come to the same limit as one large one; what was there before stays."""
    run = f"{HISTORY}/experiments/x/runs/r"
    endpoint = f"{WORKSPACE}/onlineEndpoints/scoring"
    body = {"location": "eastus", "properties": {"authMode": "Key"}}
    site.http.put(endpoint, json=body, headers=site.headers, params=VERSION).raise_for_status()
    site.emulator.runs.create("x", "r")
    for path in (run, endpoint):
        statuses = [
            site.http.patch(
                path, json={"tags": {str(number): "x" * (1 << 20)}}, headers=site.headers, params=VERSION
            ).status_code
            for number in range(4)
        ]  # fmt: skip
        assert all(status < 300 for status in statuses[:3])
        assert statuses[3] == 413
    assert set(site.emulator.runs.get("r")["tags"]) == {"0", "1", "2"}


# Requests that are half sent.


def exchange(site, *parts, pause=0.0):
    """Send parts of a request over a socket; return all that is answered until the connection ends."""

    async def talk():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = _Server(_config(site.http.app, lifespan="off"))
            serving = asyncio.create_task(server._serve([listening]))
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            answered = await asyncio.wait_for(reader.read(), 60)
            writer.close()
            server.leave()
            await serving
            return answered

    return asyncio.run(talk())


def head(site, length):
    """The head of a request with a body."""
    lines = [f"PUT {WORKSPACE}/onlineEndpoints/scoring?api-version=2023-10-01 HTTP/1.1", "Host: testserver"]
    lines += [f"Authorization: {site.headers['Authorization']}", f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode()


@pytest.fixture
def hurry(monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 0.5)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: test"])
def test_a_connection_without_a_whole_request_is_closed(site, sent):
    """Half a head, or nothing at all, holds a connection only for a while."""
    assert exchange(site, sent) == b""


@pytest.mark.usefixtures("hurry")
def test_half_a_body_is_answered_and_its_connection_closed(site):
    """The answer is a 408 in the envelope of the plane."""
    answered = exchange(site, head(site, 100) + b"{")
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answered.lower()
    assert b'"code":"RequestTimeout"' in answered


@pytest.mark.usefixtures("hurry")
def test_a_slow_body_that_comes_is_taken(site):
    """The limit is for the next part of a body, not for all of it."""
    body = b'{"location": "eastus", "properties": {"authMode": "Key"}}'
    parts = [head(site, len(body)), *(body[start : start + 8] for start in range(0, 64, 8))]
    assert exchange(site, *parts, pause=0.2).startswith(b"HTTP/1.1 201 ")


# Operations.


def test_operations_that_ended_long_ago_go_at_the_start_and_while_it_runs(tmp_path, monkeypatch):
    """Nobody has to ask for it: the start sweeps, and so does now and then an operation that begins."""
    ended = {"id": "old", "kind": "compute", "key": "c", "status": "Succeeded", "began": 1.0, "ended": 2.0}
    with running(tmp_path) as site:
        site.emulator.store.put("operation", "old", ended)
    with running(tmp_path) as site:
        assert site.emulator.store.all("operation") == []
        begin(site, "first")
        site.emulator.store.put("operation", "old", ended)
        begin(site, "second")
        assert site.emulator.operations.get("old") == ended
        soon = time.time() + operations.SWEEP_SECONDS + 1
        monkeypatch.setattr(operations, "time", SimpleNamespace(time=lambda: soon))
        begin(site, "third")
        assert site.emulator.operations.get("old") is None


def begin(site, name):
    body = {"location": "eastus", "properties": {"authMode": "Key"}}
    path = f"{WORKSPACE}/onlineEndpoints/{name}"
    assert site.http.put(path, json=body, headers=site.headers, params=VERSION).status_code == 201
