"""The transport: trust, retries, paging, secrets."""

from __future__ import annotations

import io
import json
import logging
import pickle
from datetime import UTC, datetime
from email.utils import formatdate

import msgspec
import pytest
import requests
from client_support import ARM, REGION
from urllib3.exceptions import MaxRetryError, NewConnectionError

from airflow_azml.client.files import blobs
from airflow_azml.client.transport import errors
from airflow_azml.client.transport.answers import retry_after_of
from airflow_azml.client.transport.longrunning import Operation
from airflow_azml.client.transport.retries import RetryPolicy

URL = f"{ARM}/things"


def attempts(mock):
    return [request for request in mock.request_history if request.url.startswith(URL)]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 530])
def test_reads_are_repeated(client, requests_mock, status):
    """A GET that meets a passing trouble is sent again, with the same correlation id."""
    requests_mock.get(URL, [{"status_code": status}, {"json": {"a": 1}}])
    assert client.transport.json("GET", URL, operation="get things") == {"a": 1}
    first, second = attempts(requests_mock)
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
    assert len(attempts(requests_mock)) == sent


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
    assert len(attempts(requests_mock)) == 3


def test_a_bad_certificate_is_said_at_once(client, requests_mock):
    """A TLS failure is permanent: repeating does not make a certificate known."""
    requests_mock.get(URL, exc=requests.exceptions.SSLError("certificate verify failed"))
    with pytest.raises(errors.ConnectionFailedError, match="certificate authority") as caught:
        client.transport.request("GET", URL, operation="get")
    assert caught.value.permanent
    assert not caught.value.sent
    assert len(attempts(requests_mock)) == 1


def test_a_connection_cut_within_tls_may_have_brought_the_request(client, requests_mock):
    """Only a refused certificate is for good and before the request; TLS also tells of a connection that was lost."""
    requests_mock.post(URL, exc=requests.exceptions.SSLError("EOF occurred in violation of protocol"))
    with pytest.raises(errors.ConnectionFailedError) as caught:
        client.transport.request("POST", URL, operation="start run")
    assert caught.value.sent
    assert not caught.value.permanent
    assert len(attempts(requests_mock)) == 1


def test_it_gives_up(client, requests_mock):
    """After the last try the service's reason is raised."""
    requests_mock.get(URL, status_code=500, json={"error": {"code": "Boom", "message": "no luck"}})
    with pytest.raises(errors.ServiceError, match="Boom: no luck"):
        client.transport.request("GET", URL, operation="get")
    assert len(attempts(requests_mock)) == RetryPolicy().tries


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
    assert len(attempts(requests_mock)) == 1


def test_a_remedy_for_our_credential_is_left_out_where_none_was_sent(client, requests_mock):
    """A SAS URL carries its own right: a role would not help, another network would."""
    sas = "https://sa.blob.core.windows.net/c/x?sig=s"
    requests_mock.get(sas, status_code=403, text="<Error><Code>AuthorizationFailure</Code></Error>")
    with pytest.raises(errors.PermissionDeniedError) as caught:
        client.transport.request("GET", sas, operation="read", auth=None)
    assert caught.value.remedy == ""
    requests_mock.get(sas, status_code=403, text="Public network access is not permitted on this account.")
    with pytest.raises(errors.PermissionDeniedError, match="network") as caught:
        client.transport.request("GET", sas, operation="read", auth=None)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("method", "body", "where"),
    [
        ("POST", {"data": [[1.0, float("nan")]]}, r"score: body\.data\[0\]\[1\] 'nan'"),
        ("PUT", {"a": {"b": float("-inf")}}, r"body\.a\.b '-inf'"),
        ("POST", {"x": "half \ud83d"}, r"body\.x"),
        ("POST", {"half \ud83d": 1}, r"body\.'half"),
        ("POST", {"when": datetime(2026, 1, 1, tzinfo=UTC)}, r"body\.when .*datetime"),
        ("POST", float("inf"), r"body 'inf'"),
    ],
)
def test_what_json_cannot_hold_is_refused_before_anything_is_sent(client, requests_mock, method, body, where):
    """NaN, infinity, half a character and Python's own objects: InputError names the place, nothing is sent."""
    with pytest.raises(errors.InputError, match=where):
        client.transport.request(method, URL, operation="score", json=body)
    assert requests_mock.request_history == []


def test_what_json_can_hold_is_sent_in_utf8(client, requests_mock):
    """Characters of every plane arrive as they are."""
    requests_mock.post(URL, json={})
    client.transport.request("POST", URL, operation="post", json={"name": "Instruktører 🦊", "none": None})
    assert requests_mock.last_request.body == '{"name":"Instruktører 🦊","none":null}'.encode()
    assert requests_mock.last_request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("url", ["http://127.0.0.1:5001/x", "https://localhost:5001/x", "https://[::1]:5001/x"])
def test_this_machine_is_reached_without_a_proxy(make_client, monkeypatch, url):
    """No proxy knows the way to loopback, whatever the environment says; other hosts go through it."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    session = make_client().transport._session
    assert session.merge_environment_settings(url, {}, stream=False, verify=None, cert=None)["proxies"] == {}
    assert session.merge_environment_settings(URL, {}, stream=False, verify=None, cert=None)["proxies"][
        "https"
    ].endswith(":3128")


def test_a_signed_operation_address_is_told_as_a_secret_and_sent_as_it_is(make_client, requests_mock, secrets):
    """The service signs the whole address, colons included: not one character of several KB may change."""
    path = "/mfeOperationsStatus/oeidp:1111-2222:3333?api-version=2023-10-01"
    url = f"{ARM}{path}&t=638700&c=MIIH{'A-_' * 600}&s=c2lnbmVk{'b' * 300}&h=aGFz{'c' * 30}"
    requests_mock.put(URL, headers={"Azure-AsyncOperation": url}, json={})
    requests_mock.get(url, json={"status": "Succeeded"}, complete_qs=True)
    signature = f"c2lnbmVk{'b' * 300}"
    operation = Operation.started_by(make_client().transport.request("PUT", URL, operation="create"))
    assert signature in secrets
    secrets.clear()
    elsewhere = msgspec.convert(
        json.loads(json.dumps(msgspec.to_builtins(operation))), Operation
    )  # a triggerer never saw the PUT
    assert elsewhere.poll(make_client().transport).done
    assert signature in secrets
    assert requests_mock.last_request.url == url


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


def test_401_refreshes_the_token_once(make_client, requests_mock):
    """A token that the service rejects is fetched anew, once; the second 401 is the answer."""
    asked = []

    class Tokens:
        def token(self, scope, *, rejected=None):
            asked.append((scope, rejected))
            return "new-token" if rejected else "old-token"

    client = make_client()
    client.transport.tokens = Tokens()
    requests_mock.get(URL, [{"status_code": 401}, {"json": {}}])
    client.transport.request("GET", URL, operation="get")
    scope = "https://management.azure.com/.default"
    assert asked == [(scope, None), (scope, "old-token")]
    assert attempts(requests_mock)[1].headers["Authorization"] == "Bearer new-token"
    requests_mock.get(URL, status_code=401)
    with pytest.raises(errors.AuthenticationError):
        client.transport.request("GET", URL, operation="get")
    assert len(attempts(requests_mock)) == 4


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://management.azure.com/x",
        "https://management.azure.com.evil.example/x",
        "https://evilmanagement.azure.com/x",
        "https://management.azure.com@evil.example/x",
        "https://evil.example\\@management.azure.com/x",
        "https://name.eastus.inference.ml.azure.com/score",
        "http://127.0.0.1/x",
        "management.azure.com/x",
        "https:///x",
        "https://[::1/x",
    ],
)
def test_a_bearer_goes_nowhere_else(client, requests_mock, url):
    """A token is sent to https hosts of the configured cloud only, and nothing at all is sent elsewhere."""
    with pytest.raises(errors.UntrustedHostError):
        client.transport.request("GET", url, operation="get")
    assert requests_mock.request_history == []


def test_a_foreign_next_link_is_refused(client, requests_mock):
    """Paging does not carry the token away."""
    requests_mock.get(URL, json={"value": [{"n": 1}], "nextLink": "https://evil.example/next"})
    pages = client.transport.pages("GET", URL, operation="list")
    assert next(pages) == {"n": 1}
    with pytest.raises(errors.UntrustedHostError):
        next(pages)


@pytest.mark.parametrize("location", ["https://evil.example/", "http://management.azure.com/x", "//evil.example/x"])
def test_a_redirect_to_another_place_is_refused(client, requests_mock, location):
    """A redirect does not carry the token away."""
    requests_mock.get(URL, status_code=307, headers={"Location": location})
    with pytest.raises(errors.UntrustedHostError, match="redirected"):
        client.transport.request("GET", URL, operation="get")
    assert len(requests_mock.request_history) == 1


def test_a_redirect_of_a_write_is_refused_and_of_a_read_followed(client, requests_mock):
    """Only reads follow a redirect, and only within the host."""
    requests_mock.get(URL, status_code=302, headers={"Location": f"{ARM}/elsewhere"})
    requests_mock.get(f"{ARM}/elsewhere", json={"there": True})
    assert client.transport.json("GET", URL, operation="get") == {"there": True}
    requests_mock.put(URL, status_code=307, headers={"Location": f"{ARM}/elsewhere"})
    with pytest.raises(errors.UntrustedHostError):
        client.transport.request("PUT", URL, operation="put")
    requests_mock.get(URL, status_code=302, headers={"Location": URL})
    with pytest.raises(errors.ServiceError, match="redirects"):
        client.transport.request("GET", URL, operation="get")


def test_without_a_bearer_none_is_sent(client, requests_mock, tmp_path, monkeypatch):
    """A SAS URL is asked without Authorization, even when ~/.netrc knows the host; plain http is refused."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine sa.blob.core.windows.net login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    requests_mock.get("https://sa.blob.core.windows.net/c/x?sig=s", text="log")
    client.transport.request("GET", "https://sa.blob.core.windows.net/c/x?sig=s", operation="read", auth=None)
    assert "Authorization" not in requests_mock.last_request.headers
    with pytest.raises(errors.UntrustedHostError):
        client.transport.request("GET", "http://sa.blob.core.windows.net/c/x", operation="read", auth=None)


def test_the_three_styles_of_paging(client, requests_mock):
    """NextLink is followed as written; continuationToken goes into the body of a POST or the query of a GET."""
    requests_mock.get(f"{URL}?api-version=1", json={"value": [1], "nextLink": f"{ARM}/more?$skip=1"})
    requests_mock.get(f"{ARM}/more?$skip=1", json={"value": [2], "nextLink": None})
    assert list(client.transport.pages("GET", URL, operation="list", params={"api-version": "1"})) == [1, 2]
    assert requests_mock.last_request.query == "$skip=1"
    requests_mock.post(URL, [{"json": {"value": [], "continuationToken": "c1"}}, {"json": {"value": [3]}}])
    assert list(client.transport.pages("POST", URL, operation="query", json={"filter": "f"}, retry="always")) == [3]
    assert requests_mock.last_request.json() == {"filter": "f", "continuationToken": "c1"}
    requests_mock.get(f"{ARM}/tokens", [{"json": {"value": [4], "continuationToken": "c2"}}, {"json": {"value": [5]}}])
    assert list(client.transport.pages("GET", f"{ARM}/tokens", operation="list", token_parameter="$skipToken")) == [
        4,
        5,
    ]
    assert requests_mock.last_request.qs == {"$skiptoken": ["c2"]}


def test_a_page_that_leads_to_itself_ends(client, requests_mock):
    """A service that repeats its token does not keep us for ever."""
    requests_mock.get(URL, json={"value": [1], "nextLink": f"{URL}?again=1"})
    assert list(client.transport.pages("GET", URL, operation="list")) == [1, 1]


def test_an_answer_that_is_no_json(client, requests_mock):
    """A truncated or foreign answer is a service error, an empty one an empty object."""
    requests_mock.get(URL, text='{"value": [')
    with pytest.raises(errors.ServiceError, match="not JSON"):
        client.transport.json("GET", URL, operation="get")
    requests_mock.get(URL, text="")
    assert client.transport.json("GET", URL, operation="get") == {}


def test_no_secret_is_logged(client, requests_mock, caplog, secrets):
    """Log lines name the request, but neither token nor signature; both were reported to be masked."""
    caplog.set_level(logging.DEBUG, logger="airflow_azml")
    sas = "https://sa.blob.core.windows.net/c/x?sv=1&sig=abc%2Fdef"
    requests_mock.get(URL, status_code=400, text=f"look at {sas} with Bearer t0ken-t0ken")
    requests_mock.get(sas, text="x")
    with pytest.raises(errors.InvalidRequestError) as caught:
        client.transport.request("GET", URL, operation="get things")
    client.transport.request("GET", client.transport.signed(sas), operation="read", auth=None)
    assert secrets == ["t0ken-t0ken", "abc%2Fdef", "abc/def"]
    for text in (caplog.text, str(caught.value), caught.value.message, repr(caught.value)):
        assert "abc" not in text
        assert "t0ken" not in text
    assert "get things: HTTP 400" in caplog.text


def test_errors_survive_pickling(client, requests_mock):
    """An error crosses process borders with its data."""
    requests_mock.get(
        URL, status_code=404, json={"error": {"code": "X", "message": "m"}}, headers={"x-ms-request-id": "r1"}
    )
    with pytest.raises(errors.NotFoundError) as caught:
        client.transport.request("GET", URL, operation="get")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own pickle
    assert (type(again), str(again), again.status_code, again.request_id) == (
        errors.NotFoundError,
        str(caught.value),
        404,
        "r1",
    )


def test_a_download_that_breaks_off_is_begun_again(client, requests_mock, tmp_path):
    """A file appears only when it is whole."""

    class Broken(io.BytesIO):
        def read(self, *_):
            raise requests.exceptions.ChunkedEncodingError("gone")

    url = "https://sa.blob.core.windows.net/c/x?sig=s"
    requests_mock.get(url, [{"body": Broken()}, {"content": b"whole"}])
    blobs.download(client.transport, url, tmp_path / "x", operation="download")
    assert (tmp_path / "x").read_bytes() == b"whole"
    requests_mock.get(url, [{"body": Broken()} for _ in range(9)])
    with pytest.raises(errors.ConnectionFailedError, match="broke off"):
        blobs.download(client.transport, url, tmp_path / "y", operation="download")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_verify_wins_over_the_environment(make_client, requests_mock, monkeypatch):
    """The connection's certificate authority is used, whatever REQUESTS_CA_BUNDLE says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/elsewhere.pem")
    requests_mock.get(URL, json={})
    make_client(verify="/mine.pem").transport.request("GET", URL, operation="get")
    assert requests_mock.last_request.verify == "/mine.pem"
    assert requests_mock.last_request.timeout == (10, 60)
    make_client().transport.request("GET", URL, operation="get")
    assert requests_mock.last_request.verify == "/elsewhere.pem"


def test_routing_asks_discovery_without_a_bearer_and_once(client, make_client, requests_mock):
    """ARM names the discovery URL, which names the regional host; a second client of the process asks nobody."""
    assert client.routing.regional == REGION
    assert make_client().routing.location == "eastus"
    arm, discovery = requests_mock.request_history
    assert arm.headers["Authorization"]
    assert "Authorization" not in discovery.headers


def test_routing_falls_back_to_the_discovery_host(client, requests_mock):
    """When discovery does not answer, its own host is the regional one."""
    requests_mock.get(f"{REGION}/discovery", status_code=404)
    assert client.routing.regional == REGION


@pytest.mark.parametrize("discovery", ["https://evil.example/discovery", "http://eastus.api.azureml.ms/discovery"])
def test_routing_trusts_no_foreign_discovery(client, requests_mock, discovery):
    """A discovery URL or host outside the cloud is refused."""
    requests_mock.get(ARM, json={"properties": {"discoveryUrl": discovery}})
    with pytest.raises(errors.UntrustedHostError):
        _ = client.routing.regional
    requests_mock.get(ARM, json={"properties": {"discoveryUrl": f"{REGION}/discovery"}})
    requests_mock.get(f"{REGION}/discovery", json={"api": discovery})
    with pytest.raises(errors.UntrustedHostError):
        _ = client.routing.regional


def test_an_unknown_workspace_is_named(client, requests_mock):
    """A 404 for the workspace says which subscription, group and workspace were meant."""
    requests_mock.get(ARM, status_code=404, json={"error": {"code": "ResourceNotFound", "message": "nope"}})
    with pytest.raises(errors.NotFoundError, match="workspace 'w' in resource group 'g' of subscription 's': nope"):
        _ = client.routing.regional
    requests_mock.get(ARM, json={"properties": {}})
    with pytest.raises(errors.ServiceError, match="discoveryUrl"):
        _ = client.routing.regional


def test_not_every_signature_of_very_many_is_told(client, secrets):
    """Airflow's masker would spend minutes on the signatures of a thousand files; tokens are told all the same."""
    for number in range(1000):
        client.transport.signed(f"https://sa/c?sig=s{number}%3D")
    assert secrets[:2] == ["s0%3D", "s0="]
    assert len(secrets) == 100
    client.transport.token("scope")
    assert secrets[-1] == "t0ken-t0ken"


def test_a_secret_is_told_once(client, secrets):
    """Telling Airflow takes a call to the supervisor: a log that is read a thousand times has one signature."""
    for _ in range(1000):
        client.transport.signed("https://sa/c?sig=s")
        client.transport.token("scope")
    assert secrets == ["s", "t0ken-t0ken"]
