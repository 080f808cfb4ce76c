"""The transport: trust, tokens, redirects, bodies and answers."""

from __future__ import annotations

import io
import pickle
from datetime import UTC, datetime

import pytest
import requests
from client_support import ARM, attempts

from airflow_azml.client.files import blobs
from airflow_azml.client.transport import errors

URL = f"{ARM}/things"


def test_a_bad_certificate_is_said_at_once(client, requests_mock):
    """A TLS failure is permanent: repeating does not make a certificate known."""
    requests_mock.get(URL, exc=requests.exceptions.SSLError("certificate verify failed"))
    with pytest.raises(errors.ConnectionFailedError, match="certificate authority") as caught:
        client.transport.request("GET", URL, operation="get")
    assert caught.value.permanent
    assert not caught.value.sent
    assert len(attempts(requests_mock, URL)) == 1


def test_a_connection_cut_within_tls_may_have_brought_the_request(client, requests_mock):
    """Only a refused certificate is for good and before the request; TLS also tells of a connection that was lost."""
    requests_mock.post(URL, exc=requests.exceptions.SSLError("EOF occurred in violation of protocol"))
    with pytest.raises(errors.ConnectionFailedError) as caught:
        client.transport.request("POST", URL, operation="start run")
    assert caught.value.sent
    assert not caught.value.permanent
    assert len(attempts(requests_mock, URL)) == 1


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
    assert attempts(requests_mock, URL)[1].headers["Authorization"] == "Bearer new-token"
    requests_mock.get(URL, status_code=401)
    with pytest.raises(errors.AuthenticationError):
        client.transport.request("GET", URL, operation="get")
    assert len(attempts(requests_mock, URL)) == 4


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


def test_an_answer_that_is_no_json(client, requests_mock):
    """A truncated or foreign answer is a service error, an empty one an empty object."""
    requests_mock.get(URL, text='{"value": [')
    with pytest.raises(errors.ServiceError, match="not JSON"):
        client.transport.json("GET", URL, operation="get")
    requests_mock.get(URL, text="")
    assert client.transport.json("GET", URL, operation="get") == {}


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
