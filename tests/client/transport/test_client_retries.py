"""When a request is sent again, and after how long."""

from __future__ import annotations

from email.utils import formatdate

import pytest
import requests
from client_support import ARM, attempts
from urllib3.exceptions import MaxRetryError, NewConnectionError

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.answers import retry_after_of
from airflow_azml.client.transport.retries import RetryPolicy

URL = f"{ARM}/things"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 530])
def test_reads_are_repeated(client, requests_mock, status):
    """A GET that meets a passing trouble is sent again, with the same correlation id."""
    requests_mock.get(URL, [{"status_code": status}, {"json": {"a": 1}}])
    assert client.transport.json("GET", URL, operation="get things") == {"a": 1}
    first, second = attempts(requests_mock, URL)
    assert first.headers["x-ms-client-request-id"] == second.headers["x-ms-client-request-id"]
    assert first.headers["Authorization"] == "Bearer t0ken-t0ken"
    assert client.transport.requests["get things"] == 2
    assert len(client.slept) == 1


@pytest.mark.parametrize(
    ("status", "headers", "retry", "sent"),
    [
        (500, {}, "auto", 1),
        (503, {}, "auto", 1),
        (503, {"Retry-After": "1"}, "auto", 2),
        (429, {"Retry-After": "1"}, "auto", 2),
        (429, {}, "auto", 2),
        (429, {}, "never", 1),
        (500, {}, "always", 2),
        (503, {"Retry-After": "1"}, "never", 1),
        (400, {}, "always", 1),
    ],
)
def test_a_post_is_repeated_only_when_it_did_nothing(client, requests_mock, status, headers, retry, sent):
    """A POST is sent again when the service says "later", or when the caller says that it is harmless."""
    requests_mock.post(URL, [{"status_code": status, "headers": headers}, {"json": {}}])
    if sent == 1:
        with pytest.raises(errors.AzureMLError):
            client.transport.request("POST", URL, operation="post", retry=retry)
    else:
        client.transport.request("POST", URL, operation="post", retry=retry)
    assert len(attempts(requests_mock, URL)) == sent


def test_a_post_that_never_connected_is_repeated_and_a_lost_answer_is_not(client, requests_mock):
    """Whether a request may have arrived decides about its repetition."""
    refused = requests.ConnectionError(MaxRetryError(None, URL, NewConnectionError(None, "refused")))
    requests_mock.post(URL, [{"exc": refused}, {"json": {}}])
    client.transport.request("POST", URL, operation="post")
    requests_mock.post(URL, exc=requests.ReadTimeout("read timed out"))
    with pytest.raises(errors.ConnectionFailedError) as caught:
        client.transport.request("POST", URL, operation="post")
    assert caught.value.sent
    assert not caught.value.permanent
    assert len(attempts(requests_mock, URL)) == 3


def test_it_gives_up(client, requests_mock):
    """After the last try the service's reason is raised."""
    requests_mock.get(URL, status_code=500, json={"error": {"code": "Boom", "message": "no luck"}})
    with pytest.raises(errors.ServiceError, match="Boom: no luck"):
        client.transport.request("GET", URL, operation="get")
    assert len(attempts(requests_mock, URL)) == RetryPolicy().tries


def test_retry_after_is_honoured_and_a_long_one_is_the_callers(client, requests_mock):
    """The wait that the service asks for is kept; one longer than our patience is raised with its seconds."""
    requests_mock.get(URL, [{"status_code": 429, "headers": {"Retry-After": "7"}}, {"json": {}}])
    client.transport.request("GET", URL, operation="get")
    assert 7 <= client.slept[0] <= 8
    requests_mock.get(URL, status_code=429, headers={"Retry-After": "900"})
    with pytest.raises(errors.ThrottledError) as caught:
        client.transport.request("GET", URL, operation="get")
    assert caught.value.retry_after == 900
    assert len(client.slept) == 1


def test_too_many_requests_without_a_wait_are_waited_for_twenty_seconds(client, requests_mock):
    """None of the recorded 429s had a Retry-After: coming back after a second would only be refused again."""
    requests_mock.post(URL, [{"status_code": 429}, {"json": {}}])
    client.transport.request("POST", URL, operation="post")
    assert [20 <= slept <= 21 for slept in client.slept] == [True]


def test_a_refusal_that_a_gateway_passes_on_is_not_repeated(client, requests_mock):
    """A workspace behind a private link answers strangers by 502: that is no outage."""
    text = "Access to workspace was denied based on workspace private link configuration."
    requests_mock.get(URL, status_code=502, json={"error": {"code": "UserError", "message": text}})
    with pytest.raises(errors.PermissionDeniedError, match="workspace's network"):
        client.transport.request("GET", URL, operation="get")
    assert len(attempts(requests_mock, URL)) == 1


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "3"}, 3, 3),
        ({"retry-after-ms": "1500"}, 1.5, 1.5),
        ({"x-ms-retry-after-ms": "250", "Retry-After": "9"}, 0.25, 0.25),
        ({"Retry-After": formatdate(0)}, 0, 0),
        ({"Retry-After": formatdate(4_000_000_000)}, 1e8, 4e9),
    ],
)
def test_retry_after_in_every_form(headers, low, high):
    """Seconds, milliseconds and dates are understood."""
    assert low <= retry_after_of(requests.structures.CaseInsensitiveDict(headers)) <= high


@pytest.mark.parametrize("value", ["soon", "", "12x"])
def test_a_retry_after_that_says_nothing(value):
    """Nonsense is no wait."""
    assert retry_after_of({"Retry-After": value}) is None


def test_backoff_grows_is_spread_and_capped():
    """Waits are random between nothing and a bound that doubles up to the cap."""
    policy = RetryPolicy(base=1, cap=4)
    for attempt, bound in ((1, 1), (2, 2), (3, 4), (9, 4)):
        delays = [policy.delay(attempt, None) for _ in range(200)]
        assert max(delays) <= bound
        assert min(delays) < bound / 2 < max(delays)
