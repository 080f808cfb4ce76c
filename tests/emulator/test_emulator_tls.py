"""The emulator as a process: HTTPS with its own authority, state across a kill, a clean end."""

from __future__ import annotations

import signal
import socket
import ssl
import stat

import msal
import pytest
import requests

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.MachineLearningServices/workspaces/local"
)
CLUSTER = {
    "properties": {
        "computeType": "AmlCompute",
        "properties": {"vmSize": "STANDARD_D2_V2", "scaleSettings": {"maxNodeCount": 2, "minNodeCount": 1}},
    }
}


def sign_in(emulator):
    """Sign in over TLS with msal, as the provider does against the service."""
    session = requests.Session()
    session.trust_env = False  # requests prefers REQUESTS_CA_BUNDLE to a session's `verify`
    session.verify = str(emulator.data / "ca.pem")
    application = msal.ConfidentialClientApplication(
        "local",
        client_credential=emulator.secret,
        authority=f"{emulator.tls_url}/00000000-0000-0000-0000-000000000001",
        instance_discovery=False,
        http_client=session,
    )
    return application.acquire_token_for_client(["https://management.azure.com/.default"])


def test_msal_and_requests_meet_it_over_verified_tls(emulator):
    """Msal signs in through ca.pem, the token opens Resource Manager over HTTPS, and every URL handed out is https."""
    token = sign_in(emulator)
    assert "access_token" in token, token
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    url = f"{emulator.tls_url}{WORKSPACE}?api-version=2023-10-01"
    answer = requests.get(url, headers=headers, verify=emulator.data / "ca.pem", timeout=10)
    assert answer.json()["properties"]["discoveryUrl"] == f"{emulator.tls_url}/discovery"


def test_nobody_else_trusts_it(emulator):
    """Without ca.pem the certificate is refused: the authority is the emulator's own."""
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{emulator.tls_url}/health", timeout=10)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "management.azure.com",
        "login.microsoftonline.com",
        "eastus.api.azureml.ms",
        "azuremllocal.blob.core.windows.net",
        "my-endpoint.eastus.inference.ml.azure.com",
    ],
)
def test_certificate_names_the_hosts_of_the_service(emulator, host):
    """Clients that are led here under the service's real names can verify the certificate."""
    context = ssl.create_default_context(cafile=str(emulator.data / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", emulator.tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        assert secured.version() in {"TLSv1.2", "TLSv1.3"}


def test_keys_are_for_the_owner_only(emulator):
    """Private keys in the data folder cannot be read by other users; ca.pem holds no key."""
    for name in ("ca-key.pem", "server-key.pem", "signing-key.pem"):
        assert stat.S_IMODE((emulator.data / name).stat().st_mode) == 0o600
    assert "PRIVATE" not in (emulator.data / "ca.pem").read_text()


def test_state_outlives_a_kill(fresh_emulator, until):
    """A cluster that was being created when the emulator was killed comes to its end after the restart."""
    authority = (fresh_emulator.data / "ca.pem").read_bytes()
    begun = fresh_emulator.arm("PUT", "/computes/survivor", json=CLUSTER)
    assert begun.json()["properties"]["provisioningState"] == "Creating"
    fresh_emulator.kill()
    fresh_emulator.start()
    operation = begun.headers["Azure-AsyncOperation"]
    until(lambda: fresh_emulator.call("GET", operation).json()["status"] == "Succeeded")
    idle = until(lambda: _idle(fresh_emulator))
    fresh_emulator.kill()
    fresh_emulator.start()
    assert _idle(fresh_emulator) == idle
    assert (fresh_emulator.data / "ca.pem").read_bytes() == authority
    assert "access_token" in sign_in(fresh_emulator)


def _idle(emulator):
    listed = emulator.arm("POST", "/computes/survivor/listNodes").json()["nodes"]
    return [node["nodeId"] for node in listed if node["nodeState"] == "idle"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(fresh_emulator, number):
    """SIGTERM and SIGINT end the process with 0, free both ports and leave no traceback, connections or not."""
    session = requests.Session()
    session.get(f"{fresh_emulator.url}/health", timeout=10)
    fresh_emulator.process.send_signal(number)
    assert fresh_emulator.process.wait(timeout=30) == 0
    for port in (fresh_emulator.port, fresh_emulator.tls_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert "Traceback" not in (fresh_emulator.data.parent / "emulator.log").read_text()
