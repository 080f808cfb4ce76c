"""Azure's request limits: off at first, enforced with 429 and Retry-After, full again after a while."""

from __future__ import annotations

import pytest
from emulator_process import EmulatorProcess

from airflow_azml.emulator.control.throttle import PUBLISHED, Limit, Throttle
from airflow_azml.emulator.http.faults import Fault

THROTTLE, FAULTS = "throttle", "faults"


@pytest.fixture
def limits(emulator: EmulatorProcess):
    """Limit requests; afterwards there is no limit any more."""

    def limit(**body):
        answer = emulator.control("POST", THROTTLE, json=body)
        assert answer.ok, answer.text
        return answer.json()["limits"]

    yield limit
    emulator.control("DELETE", FAULTS)
    assert emulator.control("GET", THROTTLE).json() == {"limits": {}, "refused": 0}


def test_a_bucket_is_emptied_and_refilled():
    """So many at once, then so many a second, and never more than the bucket holds; one principal is not another."""
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    throttle.limit({"reads": Limit(3, 0.5)})
    assert [throttle.admit("reads", "a") for _ in range(3)] == [2, 1, 0]
    assert throttle.admit("reads", "b") == 2
    with pytest.raises(Fault) as refused:
        throttle.admit("reads", "a")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "2")
    now[0] = 2.0
    assert throttle.admit("reads", "a") == 0
    now[0] = 1000.0
    assert throttle.admit("reads", "a") == 2
    assert throttle.refused == 1


def test_what_azure_has_published(limits):
    """The limits of Resource Manager are the default."""
    assert limits()["reads"] == {"bucket": 250, "perSecond": 25}
    assert limits()["writes"] == limits()["deletes"] == {"bucket": 200, "perSecond": 10}
    assert set(limits(reads={"bucket": 5})) == set(PUBLISHED)


def test_resource_manager_refuses_and_says_what_is_left(emulator, limits):
    """Reads, writes and deletes are counted apart; a refused request has done nothing."""
    limits(reads={"bucket": 2, "perSecond": 0.01}, deletes={"bucket": 1, "perSecond": 0.01})
    name = "x-ms-ratelimit-remaining-subscription-reads"
    assert [emulator.arm("GET").headers[name] for _ in range(2)] == ["1", "0"]
    refused = emulator.arm("GET")
    assert (refused.status_code, refused.headers[name], refused.headers["Retry-After"]) == (429, "0", "100")
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    gone = emulator.arm("DELETE", "/computes/none", params={"underlyingResourceAction": "Delete"})
    assert gone.status_code != 429
    assert gone.headers["x-ms-ratelimit-remaining-subscription-deletes"] == "0"
    assert emulator.regional("GET", "history/v1.0", "/runs/none").status_code == 404
    assert emulator.control("GET", THROTTLE).json()["refused"] == 1


def test_the_regional_services_have_a_bucket_of_their_own(emulator, limits):
    """With the error of their plane."""
    limits(regional={"bucket": 1, "perSecond": 0.01})
    assert emulator.regional("GET", "history/v1.0", "/runs/none").status_code == 404
    refused = emulator.regional("GET", "history/v1.0", "/runs/none")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "100")
    assert refused.json()["error"]["innerError"]["code"] == "RequestThrottled"
    assert emulator.arm("GET").ok


@pytest.mark.parametrize("body", [{"reads": {"bucket": 0}}, {"writes": {"perSecond": 0}}, {"reads": 5}, {"all": {}}])
def test_a_limit_that_makes_no_sense_is_refused(emulator, body):
    """And nothing is limited."""
    assert emulator.control("POST", THROTTLE, json=body).status_code == 400
    assert emulator.control("GET", THROTTLE).json()["limits"] == {}


def test_limits_from_the_start(tmp_path):
    """`--throttle` on the command line."""
    emulator = EmulatorProcess(tmp_path / "data")
    emulator.start("--throttle")
    try:
        assert emulator.control("GET", THROTTLE).json()["limits"].keys() == PUBLISHED.keys()
    finally:
        emulator.stop()
