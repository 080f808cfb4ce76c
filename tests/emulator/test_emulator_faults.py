"""The switches of the emulator: what goes wrong is real on the wire, is counted, and leaves the rest alone."""

from __future__ import annotations

import socket

import pytest
import requests
from emulator_process import WORKSPACE

GROUPS = f"{WORKSPACE.partition('/providers')[0].rpartition('/')[0]}"
FAULTS, SPEED = "faults", "speed"


@pytest.fixture
def fault(emulator):
    """Ask for a fault; afterwards nothing is wrong any more."""

    def ask(**body):
        answer = emulator.control("POST", FAULTS, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    yield ask
    assert emulator.control("DELETE", FAULTS).status_code == 204


def met(emulator):
    return [(row["times"], row["met"]) for row in emulator.control("GET", FAULTS).json()["value"]]


def test_the_next_calls_are_answered_with_an_error(emulator, fault):
    """Exactly so many, in the words of the plane that answers, with Retry-After; then the work goes on."""
    fault(method="get", path="/RESOURCEGROUPS$", times=2, status=429, retryAfter=7, message="slowly")
    for _ in range(2):
        answer = emulator.call("GET", GROUPS, params={"api-version": "2021-04-01"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
        assert (answer.json()["error"]["code"], answer.json()["error"]["message"]) == ("TooManyRequests", "slowly")
        assert answer.headers["x-ms-request-id"]
    assert emulator.call("GET", GROUPS, params={"api-version": "2021-04-01"}).ok
    assert met(emulator) == [(0, 2)]


def test_other_calls_are_left_alone(emulator, fault):
    """A fault is for its method and its path; the emulator's own switches always work."""
    fault(method="POST", path="resourcegroups", status=500)
    fault(path="experiments", status=500)
    assert emulator.call("GET", GROUPS, params={"api-version": "2021-04-01"}).ok
    fault(path=".", times=5, status=503)
    assert met(emulator) == [(1, 0), (1, 0), (5, 0)]
    assert requests.get(f"{emulator.url}/health", timeout=10).status_code == 503


def test_a_code_and_an_unusual_status(emulator, fault):
    """Any error status is answered, 530 too, with the code that was asked for."""
    fault(path="/runs/", status=530, code="Warming")
    answer = emulator.regional("GET", "history/v1.0", "/runs/x")
    assert (answer.status_code, answer.json()["error"]["innerError"]["code"]) == (530, "Warming")


@pytest.mark.parametrize(("scheme", "seen"), [("url", "reset by peer"), ("tls_url", "Connection aborted")])
def test_a_connection_is_reset(emulator, fault, scheme, seen):
    """The socket is really reset (which Python hides below TLS), and the work was not done."""
    fault(path="/experiments/never$", connection="reset")
    url = f"{getattr(emulator, scheme)}/history/v1.0{WORKSPACE}/experiments/never"
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with pytest.raises(requests.ConnectionError, match=seen):
        requests.post(url, headers=headers, timeout=10, verify=str(emulator.data / "ca.pem"))
    assert emulator.regional("GET", "history/v1.0", "/experiments/never").status_code == 404


def test_an_answer_is_lost_after_the_work(emulator, fault):
    """The client sees a reset connection, and the thing that it asked for is there."""
    fault(method="POST", path="/experiments/lost$", connection="reset", afterWork=True)
    with pytest.raises(requests.ConnectionError):
        emulator.regional("POST", "history/v1.0", "/experiments/lost")
    assert emulator.regional("GET", "history/v1.0", "/experiments/lost").json()["name"] == "lost"


def test_an_error_is_answered_after_the_work(emulator, fault):
    """A 500 that lies: the thing is there nevertheless."""
    fault(method="POST", path="/experiments/lied$", status=500, afterWork=True)
    assert emulator.regional("POST", "history/v1.0", "/experiments/lied").status_code == 500
    assert emulator.regional("GET", "history/v1.0", "/experiments/lied").ok


@pytest.mark.parametrize("scheme", ["url", "tls_url"])
def test_an_answer_is_cut_in_half(emulator, fault, scheme):
    """Headers and half of the bytes arrive, then the connection ends."""
    url = f"{getattr(emulator, scheme)}{GROUPS}"
    options = {"params": {"api-version": "2021-04-01"}, "verify": str(emulator.data / "ca.pem"), "stream": True}
    whole = emulator.call("GET", url, **options).content
    fault(path="resourceGroups", connection="truncate")
    answer = emulator.call("GET", url, **options)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(whole)))
    received: list[bytes] = []
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        received.extend(answer.iter_content(1))
    assert b"".join(received) == whole[: len(whole) // 2]
    assert emulator.call("GET", url, **options).content == whole


def test_an_answer_without_a_body_cannot_be_cut_in_half(emulator, fault):
    """It is lost instead."""
    fault(method="DELETE", path="/models/", connection="truncate")
    with pytest.raises(requests.ConnectionError):
        emulator.regional("DELETE", "modelmanagement/v1.0", "/models/m:1")


def test_a_call_is_delayed(emulator, fault):
    """The client runs into its own timeout; after it the emulator has done the work nevertheless."""
    fault(method="POST", path="/experiments/slow$", delay=1.5, afterWork=True)
    headers = {"Authorization": f"Bearer {emulator.token}"}
    url = f"{emulator.url}/history/v1.0{WORKSPACE}/experiments/slow"
    with pytest.raises(requests.ReadTimeout):
        requests.post(url, headers=headers, timeout=0.5)
    assert emulator.regional("GET", "history/v1.0", "/experiments/slow").ok


def test_an_upload_is_reset_under_way(emulator, fault):
    """A large body that is still being sent: the connection goes, the emulator lives."""
    fault(method="PUT", path="/_blob/", connection="reset")
    head = b"PUT /_blob/azuremllocal/c/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as raw:
        raw.sendall(head + b"x" * 1000)
        with pytest.raises(ConnectionError):
            raw.sendall(b"x" * 500_000_000)
    assert requests.get(f"{emulator.url}/health", timeout=10).ok


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "Nothing would go wrong"),
        ({"status": 204}, "400 to 599"),
        ({"status": "503"}, "'status' must be a whole number"),
        ({"status": 500, "times": 1.5}, "'times'"),
        ({"delay": -1}, "'delay'"),
        ({"connection": "explode"}, "'reset' or 'truncate'"),
        ({"status": 500, "path": "("}, "not a regular expression"),
        ({"status": 500, "retry": 3}, "Could not find member 'retry'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(emulator, body, reason):
    """With the reason, and nothing goes wrong."""
    answer = emulator.control("POST", FAULTS, json=body)
    assert answer.status_code == 400
    assert reason in answer.text
    assert met(emulator) == []


def test_the_pace_changes_at_run_time(fresh_emulator, until):
    """A compute that took a second takes as long as the test says; at `real` speed no wait is asked for."""
    assert fresh_emulator.control("GET", SPEED).json() == {
        "retryAfter": 1,
        "compute": 1.0,
        "node": 1.0,
        "endpoint": 0.5,
    }
    assert fresh_emulator.control("POST", SPEED, json={"speed": "real", "endpoint": 0}).json()["endpoint"] == 0
    body = {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_D1", "scaleSettings": {"maxNodeCount": 1}}}
    answer = fresh_emulator.arm("PUT", "/computes/slow", json={"location": "eastus", "properties": body})
    assert "Retry-After" not in answer.headers
    fresh_emulator.control("POST", SPEED, json={"speed": "fast", "compute": 0, "retryAfter": 3})
    answer = fresh_emulator.arm("PUT", "/computes/quick", json={"location": "eastus", "properties": body})
    assert answer.headers["Retry-After"] == "3"

    def state(name):
        return fresh_emulator.arm("GET", f"/computes/{name}").json()["properties"]["provisioningState"]

    until(lambda: state("quick") == "Succeeded")
    assert state("slow") == "Creating"
    for wrong in ({"speed": "warp"}, {"compute": "soon"}, {"retryAfter": 0.5}, {"tick": 0}):
        assert fresh_emulator.control("POST", SPEED, json=wrong).status_code == 400
