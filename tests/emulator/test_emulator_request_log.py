"""The request log: what was asked, what was answered, under which id; and no signature of an address."""

from __future__ import annotations

import re

import pytest
import requests
from emulator_process import EmulatorProcess

LINE = re.compile(
    r"(?P<time>\S+) (?P<status>\d{3}|-) (?P<method>[A-Z]+) (?P<target>\S+) [\d.]+ ms (?P<id>[0-9a-f-]{36})"
)


@pytest.fixture
def logged(tmp_path):
    """An emulator with a request log, and what reads the log."""
    emulator = EmulatorProcess(tmp_path / "data").start("--request-log", str(tmp_path / "requests.log"))
    yield emulator, lambda: [LINE.fullmatch(line) for line in (tmp_path / "requests.log").read_text().splitlines()]
    emulator.stop()


def test_every_request_has_a_line(logged):
    """Method, address as it was sent, status, time and id; refused and failed requests have one, too."""
    emulator, read = logged
    answers = [
        emulator.arm("GET", "/computes"),
        emulator.arm("GET", "/computes/none"),
        emulator.call("GET", "/nowhere"),
        requests.get(f"{emulator.url}/a%0Ab", headers={"Host": "evil.example"}, timeout=10),
    ]
    lines = {line["id"]: line for line in read() if line}
    assert len(lines) == len(read())
    for answer, (method, target) in zip(
        answers,
        [("GET", answers[0].request.path_url), ("GET", answers[1].request.path_url), ("GET", "/nowhere"),
         ("GET", "/a\\nb")],
        strict=True,
    ):  # fmt: skip
        line = lines[answer.headers["x-ms-request-id"]]
        assert (line["method"], line["target"], line["status"]) == (method, target, str(answer.status_code))


def test_no_signature_is_logged(logged):
    """The signature of a blob's address opens it: it is not written down."""
    emulator, read = logged
    pending = emulator.arm("POST", "/codes/c/versions/1/startPendingUpload", json={}).json()
    address, _, query = pending["blobReferenceForConsumption"]["credential"]["sasUri"].partition("?")
    requests.put(f"{address}/x?{query}", data=b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
    signature = re.search(r"sig=([^&]+)", query)[1]
    (line,) = [line for line in read() if line["method"] == "PUT"]
    assert "sig=***" in line["target"]
    assert signature not in line["target"]


def test_a_log_that_cannot_be_written_is_refused(tmp_path):
    """One line says why."""
    with pytest.raises(AssertionError, match="cannot be the request log: Is a directory"):
        EmulatorProcess(tmp_path / "data").start("--request-log", str(tmp_path))
