"""The emulator's door: hosts that it knows, web pages that it refuses, headers of proxies that it believes or not."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests
from emulator_process import SUBSCRIPTION, TENANT, EmulatorProcess

from airflow_azml.emulator.host.known_hosts import KnownHosts

FAULTS, TOKEN = "/_emulator/faults", f"/{TENANT}/oauth2/v2.0/token"
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "azureml.example.com"}


def get(emulator, path="/discovery", **headers):
    return requests.get(emulator.url + path, headers=headers, timeout=10)


def code(answer):
    return answer.status_code, answer.json()["error"]["innerError"]["code"]


@pytest.fixture
def start(tmp_path):
    """Start an emulator with options, as often as wanted."""
    started = []

    def begin(*options):
        folder = tmp_path / str(len(started)) / "data"
        folder.parent.mkdir()
        started.append(EmulatorProcess(folder).start(*options))
        return started[-1]

    yield begin
    for emulator in started:
        emulator.stop()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3:99",
        "[::1]:8700",
        "LOCALHOST",
        "azure.localhost:1",
        "management.azure.com",
        "ml.azure.com",
    ],
)
def test_loopback_and_azures_names_are_known(emulator, host):
    """Who calls under a name of this machine or of Azure is served, with URLs that lead back by that name."""
    assert get(emulator, Host=host).json()["studio"].startswith("http://")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", "192.0.2.1", "8.8.8.8",
        "management.azure.com.evil.example", "[::1", "a b", "127.0.0.1@evil.example", "", "127.0.0.1, evil.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/discovery", "/health", FAULTS, f"/subscriptions/{SUBSCRIPTION}"])
def test_an_unknown_host_is_refused(emulator, host, path):
    """A name that was rebound to this machine reaches nothing, not even with a token; the answer says what to do."""
    answer = emulator.call("GET", path, headers={"Host": host})
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error.get("innerError", error)["code"] == "HostNotAllowed"
    assert "--allow-host" in error["message"]


def test_a_second_host_header_does_not_help(emulator):
    """Two Host headers are no known host, whichever of them is one."""
    request = b"GET /discovery HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port)) as connection:
        connection.sendall(request)
        assert connection.makefile("rb").readline().split()[1] in {b"400", b"403"}


def test_a_page_of_another_origin_is_refused(emulator):
    """What a browser sends for a page of another host or port is refused, whatever it asks for."""
    own = emulator.url.removeprefix("http://")
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null", "https://ml.azure.com", ""):
        headers = {"Origin": origin, "X-Emulator-Control": "1"}
        assert code(get(emulator, FAULTS, **headers)) == (403, "OriginNotAllowed")
        form = {"grant_type": "client_credentials", "client_id": "local"}
        answer = requests.post(emulator.url + TOKEN, data=form, headers=headers, timeout=10)
        assert code(answer) == (403, "OriginNotAllowed")
        assert requests.options(emulator.url + FAULTS, headers=headers, timeout=10).status_code == 403
    assert get(emulator, FAULTS, Origin=f"http://{own}", **{"X-Emulator-Control": "1"}).ok


def test_the_emulators_own_routes_need_a_header(emulator):
    """A request that a page may send without asking (no such header, text/plain) changes nothing and reads nothing."""
    body = b'{"path": ".", "times": 99, "status": 500}'
    answer = requests.post(emulator.url + FAULTS, data=body, headers={"Content-Type": "text/plain"}, timeout=10)
    assert code(answer) == (403, "HeaderRequired")
    assert "X-Emulator-Control: 1" in answer.json()["error"]["message"]
    for method, switch in (("GET", "runs"), ("DELETE", "faults"), ("GET", "speed"), ("POST", "throttle")):
        answer = requests.request(method, f"{emulator.url}/_emulator/{switch}", timeout=10)
        assert code(answer) == (403, "HeaderRequired"), switch
    assert emulator.control("GET", "faults").json() == {"value": []}


def test_headers_of_proxies_are_not_believed(emulator):
    """Without --trust-forwarded they change neither the scheme nor the host of an URL."""
    assert get(emulator, **FORWARDED).json()["api"] == emulator.url


def test_a_host_is_allowed_by_name(start):
    """--allow-host adds a name to the known ones and to the certificate."""
    emulator = start("--allow-host", "Azure.Example", "--allow-host", "192.0.2.7")
    assert get(emulator, Host="azure.example:1").json()["api"] == "http://azure.example:1"
    assert get(emulator, Host="192.0.2.7").ok
    assert get(emulator, Host="other.example").status_code == 403
    context = ssl.create_default_context(cafile=emulator.data / "ca.pem")
    for name in ("azure.example", "192.0.2.7"):
        with (
            socket.create_connection(("127.0.0.1", emulator.tls_port)) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.version()


@pytest.mark.parametrize("by", ["option", "variable"])
def test_headers_of_a_trusted_proxy_are_believed(start, monkeypatch, by):
    """They then decide the scheme and host of every URL, but a host must still be a known one, in both headers."""
    if by == "variable":
        monkeypatch.setenv("AZUREML_EMULATOR_TRUST_FORWARDED", "1")
    emulator = start("--allow-host", "azureml.example.com", *(["--trust-forwarded"] if by == "option" else []))
    assert get(emulator, **FORWARDED).json()["api"] == "https://azureml.example.com"
    several = {"X-Forwarded-Host": "azureml.example.com, 10.0.0.1", "X-Forwarded-Proto": "https, http"}
    assert get(emulator, **several).json()["api"] == "https://azureml.example.com"
    assert get(emulator, **{"X-Forwarded-Proto": "javascript"}).json()["api"] == emulator.url
    assert code(get(emulator, **{"X-Forwarded-Host": "evil.example"})) == (403, "HostNotAllowed")
    assert code(get(emulator, Host="evil.example", **FORWARDED)) == (403, "HostNotAllowed")
    assert get(emulator, Origin="https://azureml.example.com", **FORWARDED).ok


@pytest.mark.parametrize(
    ("bound", "host", "known"),
    [
        ("0.0.0.0", "192.0.2.1:8700", True),  # noqa: S104 - only a value
        ("0.0.0.0", "evil.example", False),  # noqa: S104 - likewise
        ("192.0.2.1", "[2001:db8::1]", True),
        ("emulator", "emulator:8743", True),
        ("emulator", "evil.example", False),
        ("localhost", "192.0.2.1", False),
    ],
)
def test_on_a_network_addresses_are_known(bound, host, known):
    """Where it listens on a network it answers under its name and any IP address, for no page can rebind one."""
    hosts = KnownHosts.of_server(bound, [], trust_forwarded=False)
    scope = {"type": "http", "scheme": "http", "headers": [(b"host", host.encode())]}
    if known:
        assert hosts.base_url(scope) == f"http://{host}"
    else:
        with pytest.raises(Exception, match="--allow-host"):
            hosts.base_url(scope)


@pytest.mark.parametrize("host", ["http://azure.example", "azure.example:80", "", "a b"])
def test_a_host_that_is_no_name_is_refused(tmp_path, host):
    """--allow-host takes a name, not a URL."""
    emulator = EmulatorProcess(tmp_path / "data")
    with pytest.raises(AssertionError, match="is not a host name or an address"):
        emulator.start(f"--allow-host={host}")
