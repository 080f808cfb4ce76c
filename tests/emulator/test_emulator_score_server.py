"""The score server alone, as a process, without an emulator around it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

import airflow_azml.emulator

SERVER = Path(airflow_azml.emulator.__file__).parent / "endpoints" / "score_server.py"
SCRIPT = """
import json, threading
import helper

def init():
    global model, together
    model, together = helper.FACTOR, threading.Barrier(2, timeout=20)

def run(data):
    data = json.loads(data)
    if data.get("wait"):
        together.wait()
    if "fail" in data:
        raise ValueError("cannot score " + data["fail"])
    if "text" in data:
        return data["text"]
    return {"score": data["x"] * model} if "x" in data else None
"""


class Server:
    def __init__(self, folder: Path, script: str) -> None:
        (folder / "score.py").write_text(script)
        (folder / "helper.py").write_text("FACTOR = 3\n")
        self.port_file, self.log = folder / "port", folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, SERVER, folder / "score.py", self.port_file],
                stdout=log, stderr=log, env={**os.environ, "AML_APP_ROOT": str(folder)},
            )  # fmt: skip

    def url(self) -> str:
        for _ in range(300):
            if self.port_file.exists():
                break
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        return f"http://127.0.0.1:{self.port_file.read_text()}"


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(script: str = SCRIPT) -> Server:
        servers.append(Server(tmp_path, script))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


def test_scores_what_run_returns(serve):
    """The result of run() is the JSON answer; init() and modules beside the script were loaded."""
    url = serve().url()
    assert requests.get(url, timeout=10).text == "Healthy"
    answer = requests.post(f"{url}/score", json={"x": 14}, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"score": 42})
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert requests.get(f"{url}/score?x=2", timeout=10).json() == {"score": 6}


def test_dumps_strings_and_none_as_the_service(serve):
    """A string is dumped as a JSON string, None as an empty object."""
    url = serve().url()
    assert requests.post(f"{url}/score", json={"text": "a"}, timeout=10).text == '"a"'
    assert requests.post(f"{url}/score", json={}, timeout=10).json() == {}


def test_user_exception_is_a_500_with_its_traceback_in_the_log(serve):
    """An exception of run() is answered 500 with the service's header and message, and logged."""
    server = serve()
    answer = requests.post(f"{server.url()}/score", json={"fail": "this"}, timeout=10)
    assert answer.status_code == 500
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert answer.json() == {"message": "An unexpected error occurred in scoring script. Check the logs for more info."}
    assert "ValueError: cannot score this" in server.log.read_text()


def test_two_requests_run_at_the_same_time(serve):
    """Two calls that wait for each other inside run() both succeed."""
    url, statuses = serve().url(), []

    def score() -> None:
        statuses.append(requests.post(f"{url}/score", json={"x": 1, "wait": True}, timeout=30).status_code)

    threads = [threading.Thread(target=score) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]


def test_refuses_what_it_does_not_serve(serve):
    """Unknown paths are 404, undecodable input is 400."""
    url = serve().url()
    assert requests.get(f"{url}/other", timeout=10).status_code == 404
    assert requests.post(f"{url}/other", timeout=10).status_code == 404
    assert requests.post(f"{url}/score", data=b"\xff", timeout=10).status_code == 400


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def init(): raise RuntimeError('no model')\ndef run(data): pass", "RuntimeError: no model"),
        ("import absent_module", "No module named 'absent_module'"),
        ("def init(): pass", "does not have a run() function defined"),
    ],
)
def test_a_script_that_cannot_start_ends_the_process(serve, script, reason):
    """A failing import or init() ends the process with code 3 and says why in the log."""
    server = serve(script)
    assert server.process.wait(timeout=60) == 3
    assert reason in server.log.read_text()
