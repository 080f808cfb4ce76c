"""How requests find their way and answers lead back: casing, slashes, hosts, correlation, malformed bodies."""

from __future__ import annotations

import socket
import uuid

import pytest
import requests
from emulator_process import TENANT

from airflow_azml.emulator.host.envoy import canonical_path

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.MachineLearningServices/workspaces/local"
)
VERSION = {"api-version": "2023-10-01"}
CLUSTER = {
    "properties": {
        "computeType": "AmlCompute",
        "properties": {"vmSize": "STANDARD_D2_V2", "scaleSettings": {"maxNodeCount": 1}},
    }
}


@pytest.mark.parametrize(
    "path",
    [
        "/" + WORKSPACE,
        WORKSPACE + "/",
        WORKSPACE.replace("/providers", "//providers"),
        WORKSPACE.replace("resourceGroups", "resourcegroups"),
        WORKSPACE.upper(),
        WORKSPACE.lower(),
        WORKSPACE.replace("workspaces/local", "workspaces/LOCAL"),
    ],
)
def test_paths_are_read_in_any_spelling_and_answered_in_one(emulator, path):
    """Doubled and trailing slashes and any casing reach the workspace, whose id is spelled canonically."""
    answer = emulator.call("GET", emulator.url + path, params=VERSION)
    assert (answer.status_code, answer.json()["id"]) == (200, WORKSPACE)


def test_urls_lead_back_the_way_the_caller_came(emulator):
    """The Host decides the host of discovery URL, operation URL and nextLink."""
    by_name, base = {"Host": "azure.localhost:8443"}, "http://azure.localhost:8443"
    discovery = emulator.arm("GET", headers=by_name).json()["properties"]["discoveryUrl"]
    assert discovery == f"{base}/discovery"
    for name in ("way-a", "way-b"):
        answer = emulator.arm("PUT", f"/computes/{name}", json=CLUSTER, headers=by_name)
        assert answer.headers["Azure-AsyncOperation"].startswith(f"{base}/subscriptions/")
    page = emulator.arm("GET", "/computes", params={"$top": 1}, headers=by_name).json()
    assert page["nextLink"].startswith(f"{base}{WORKSPACE}/computes?")
    by_host = emulator.arm("GET", headers={"Host": "management.azure.com"}).json()
    assert by_host["properties"]["discoveryUrl"] == "http://eastus.api.azureml.ms/discovery"


def test_every_known_host_is_served_by_path(emulator):
    """The same path answers the same under every host name of the service."""
    for host in ("management.azure.com", "eastus.api.azureml.ms", "localhost:1", "login.microsoftonline.com"):
        assert emulator.arm("GET", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("azuremllocal.blob.core.windows.net", "//azureml/a//b/", "/_blob/azuremllocal/azureml/a//b/"),
        ("AzureMLlocal.Blob.core.windows.net:443", "/azureml", "/_blob/azuremllocal/azureml"),
        ("azuremllocal.blob.core.windows.net", "/azureml/", "/_blob/azuremllocal/azureml"),
        ("127.0.0.1:8700", "/_blob//azuremllocal/azureml//a", "/_blob/azuremllocal/azureml//a"),
        ("my-endpoint.eastus.inference.ml.azure.com", "/score", "/_score/my-endpoint/score"),
        ("127.0.0.1:8700", "//subscriptions//x/", "/subscriptions/x"),
        ("blob.core.windows.net", "/", "/"),
    ],
)
def test_host_style_addresses_become_path_style(host, path, expected):
    """Blob and scoring hosts are rewritten to the paths under which the emulator serves them."""
    assert canonical_path(path, host) == expected


def test_every_answer_can_be_correlated(emulator):
    """Success, error and 501 carry the service's ids, and repeat those that the client chose."""
    client, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    chosen = {"x-ms-client-request-id": client, "x-ms-correlation-request-id": correlation}
    for path in ("", "/computes/none", "/jobs/none", "/teapots"):
        headers = emulator.arm("GET", path, headers=chosen).headers
        assert (headers["x-ms-client-request-id"], headers["x-ms-correlation-request-id"]) == (client, correlation)
        assert headers["x-ms-request-id"] in headers["x-ms-routing-request-id"]
        assert headers.get("x-ms-failure-cause") == "gateway" or float(headers["x-request-time"]) >= 0


def test_every_plane_has_the_headers_of_the_service(emulator):
    """Rate limits and routing are Resource Manager's; all but blob storage tell their time and whether it went well."""

    def names(answer):
        return {name.lower() for name in answer.headers if name.lower().startswith(("x-ms-", "x-request"))}

    everywhere = {"x-ms-request-id", "x-ms-client-request-id"}
    regional = {*everywhere, "x-ms-response-type", "x-request-time"}
    arm = {
        *regional, "x-ms-correlation-request-id", "x-ms-operation-identifier", "x-ms-routing-request-id",
    }  # fmt: skip
    assert names(emulator.arm("GET")) == {*arm, "x-ms-ratelimit-remaining-subscription-reads"}
    assert {*arm, "x-ms-ratelimit-remaining-subscription-writes"} <= names(
        emulator.arm("PUT", "/computes/headers", json=CLUSTER)
    )
    gone = emulator.arm("DELETE", "/computes/none", params={"underlyingResourceAction": "Delete"})
    assert names(gone) == {*arm, "x-ms-ratelimit-remaining-subscription-deletes"}
    for answer, kind in (
        (emulator.regional("GET", "history/v1.0", "/experiments"), "standard"),
        (emulator.regional("GET", "history/v1.0", "/runs/none"), "error"),
        (requests.get(f"{emulator.url}/discovery", timeout=10), "standard"),
    ):
        assert (names(answer), answer.headers["x-ms-response-type"]) == (regional, kind)
    blob = requests.get(f"{emulator.url}/_blob/azuremllocal/none/none", timeout=10)
    assert names(blob) == {*everywhere, "x-ms-error-code"}


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b'"text"', b"null", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"[" * 100000],
)
def test_malformed_bodies_are_refused(emulator, body):
    """What is not JSON, not an object, or could not be repeated in an answer is a 400 in the plane's envelope."""
    answer = emulator.arm("PUT", "/computes/cpu", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidJson")


def test_strange_paths_are_answered(emulator):
    """Escapes that decode to NUL, to broken UTF-8 or to a slash never break a handler."""
    for name in ("%00", "%ff", "%f0%9f%90%8d", "a%2Fb", "%25", "x" * 5000):
        status = emulator.arm("GET", f"/computes/{name}").status_code
        assert status in {404, 501}, name


def test_what_no_route_takes_is_named_in_its_planes_words(emulator):
    """A line feed in a path, a method that nobody has, a form that cannot be read: never the framework's own errors."""
    for method, path in (("GET", "/computes/a%0Ab/x"), ("TRACE", "/computes"), ("GET", "/%0A"), ("POST", "/computes")):
        answer = emulator.arm(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "NotImplemented"), path
    name = "/artifact/v2.0" + WORKSPACE + "/artifacts/metadata/ExperimentRun/dcid.x/%0A"
    assert emulator.call("GET", name).json()["error"]["innerError"]["code"] == "ArtifactNotFound"
    headers = {"Content-Type": "multipart/form-data"}
    unread = requests.post(f"{emulator.url}/{TENANT}/oauth2/token", data=b"--x", headers=headers, timeout=10)
    assert (unread.status_code, unread.json()["error"]["innerError"]["code"]) == (400, "ValidationError")


def test_a_form_that_cannot_be_read_is_not_logged(emulator):
    """The client is told; the emulator's log has nothing of it."""
    log = emulator.data.parent / "emulator.log"
    before = log.read_text()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = requests.post(f"{emulator.url}/{TENANT}/oauth2/token", data=b"garbage", headers=headers, timeout=10)
    assert answer.status_code == 400
    assert log.read_text() == before


def test_a_broken_request_line_leaves_the_emulator_standing(emulator):
    """Bytes that are no HTTP are refused, and the next request is served."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b"400" in connection.recv(100)
    assert requests.get(f"{emulator.url}/health", timeout=10).ok
