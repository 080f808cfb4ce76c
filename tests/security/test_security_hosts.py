"""An answer of the service may name any address. A bearer goes to none that is not Azure's, on real sockets."""

from __future__ import annotations

import pytest
from security_servers import TOKEN

from airflow_azml.client.transport.errors import AzureMLError, InputError, UntrustedHostError
from airflow_azml.client.transport.longrunning import Operation

REFUSED = (UntrustedHostError, InputError)


@pytest.fixture(autouse=True)
def _the_stranger_hears_no_credential(stranger):
    """Whatever a test does."""
    yield
    heard = b"".join(stranger.heard)
    assert TOKEN.encode() not in heard
    assert b"authorization" not in heard.lower()


def test_a_discovery_url_of_a_stranger_is_not_asked(client, azure, stranger, foreign):
    """The workspace names where to ask for the regional host: a stranger is not even asked."""
    azure.route("", {"properties": {"discoveryUrl": f"{foreign}/discovery"}})
    with pytest.raises(REFUSED):
        client.runs.get("r1")
    assert stranger.heard == []


def test_a_regional_host_of_a_stranger_is_not_used(client, azure, stranger, foreign):
    """Discovery names the regional host, which would be sent every request from then on."""
    azure.answers["GET", "/discovery"].body = {"api": foreign}
    with pytest.raises(REFUSED):
        client.runs.get("r1")
    assert stranger.heard == []


def test_the_next_page_of_a_stranger_is_not_read(client, azure, stranger, foreign):
    """The first page is read with the bearer; the second, somewhere else, is not asked for."""
    azure.route("/computes", {"value": [{"name": "one", "properties": {}}], "nextLink": f"{foreign}/page2"})
    computes = client.computes.list()
    assert next(computes).name == "one"
    with pytest.raises(REFUSED):
        next(computes)
    assert stranger.heard == []
    assert azure.asked[-1][2] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("header", ["Azure-AsyncOperation", "Location"])
def test_an_operation_at_a_strangers_is_not_followed(client, azure, stranger, foreign, header):
    """A write is accepted, and its progress is to be asked for somewhere else."""
    azure.route("/computes/cpu", {}, method="DELETE", status=202, headers={header: f"{foreign}/operation"})
    target = client.computes.delete("cpu")
    assert isinstance(target.operation, Operation)
    with pytest.raises(REFUSED):
        client.look(target)
    assert stranger.heard == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_a_stranger_is_not_followed(client, azure, stranger, foreign, status):
    """Neither a read nor a write goes along with a redirect to another place."""
    for method in ("GET", "DELETE"):
        azure.route("/computes/cpu", method=method, status=status, headers={"Location": f"{foreign}/elsewhere"})
    for call in (client.computes.get, client.computes.delete):
        with pytest.raises(AzureMLError, match="redirected"):
            call("cpu")
    assert stranger.heard == []


def test_a_cancel_address_of_a_stranger_is_replaced(client, azure, stranger, foreign):
    """The run names where it is cancelled; when that is a stranger's, it is cancelled at its own service."""
    run = {"runId": "r1", "status": "Running", "experimentId": "e1", "cancelUri": f"{foreign}/cancel"}
    azure.route("/runs/r1", run, service="history/v1.0")
    azure.route("/experiments/churn/runId/r1/cancel", {}, method="POST", service="execution/v1.0")
    client.runs.request_cancel("r1", "churn")
    assert azure.asked[-1] == ("POST", azure.asked[-1][1], f"Bearer {TOKEN}")
    assert azure.asked[-1][1].endswith("/churn/runId/r1/cancel")
    assert stranger.heard == []


@pytest.mark.parametrize("place", ["http://127.0.0.2:{port}/log?sig=s", "http://blob.test:{port}/log?sig=s"])
def test_a_log_of_a_strangers_is_read_without_a_bearer(client, azure, stranger, place):
    """Logs are in storage accounts of any name: they are read by their SAS alone, and never without encryption."""
    url = place.format(port=stranger.port)
    azure.route("/runs/r1/details", {"logFiles": {"user_logs/std_log.txt": url}}, service="history/v1.0")
    log = client.logs.files("r1")["user_logs/std_log.txt"]
    if "blob.test" in url:
        with pytest.raises(UntrustedHostError, match="not an https address"):
            client.logs.read_file(log)
        assert stranger.heard == []
    else:
        client.logs.read_file(log)
        assert stranger.heard[0].startswith(b"GET /log?sig=s")


@pytest.mark.parametrize("place", ["http://127.0.0.2:{port}/file?sig=s", "http://blob.test:{port}/file?sig=s"])
def test_a_file_goes_to_and_comes_from_storage_without_a_bearer(client, azure, stranger, tmp_path, place):
    """What a run has written is fetched, and what is uploaded is put, by the SAS alone."""
    url, run = place.format(port=stranger.port), {"runId": "r1", "status": "Completed", "dataContainerId": "d"}
    azure.route("/runs/r1", run, service="history/v1.0")
    found = {"contentUri": url}
    azure.route("/artifacts/ExperimentRun/d/contentinfo", found, service="artifact/v2.0")
    places = {"artifactContentInformation": {"outputs/x": found}}
    azure.route("/artifacts/ExperimentRun/d/batch/metadata", places, method="POST", service="artifact/v2.0")
    (tmp_path / "x").write_text("content")
    run = client.runs.get("r1")
    for call in (
        lambda: client.artifacts.download(run, "outputs/x", tmp_path),
        lambda: client.artifacts.upload(run, tmp_path / "x", "outputs/x"),
    ):
        if "blob.test" in url:
            with pytest.raises(UntrustedHostError):
                call()
        else:
            call()
    said = [heard.split(b" ")[0] for heard in stranger.heard]
    assert said == ([] if "blob.test" in url else [b"GET", b"PUT"])


@pytest.mark.parametrize("mode", ["Key", "AADToken"])
def test_an_endpoint_gets_its_key_and_never_over_http(client, azure, stranger, mode):
    """A scoring address without encryption is not called, whatever it is to be opened with."""
    scoring = f"http://model.test:{stranger.port}/score"
    body = {"name": "shop", "properties": {"scoringUri": scoring, "authMode": mode}}
    azure.route("/onlineEndpoints/shop", body)
    azure.route("/onlineEndpoints/shop/listKeys", {"primaryKey": "key-0123456789"}, method="POST")
    with pytest.raises(UntrustedHostError):
        client.endpoints.score("shop", {})
    assert stranger.heard == []


def test_the_test_would_notice(client, azure, stranger):
    """The stranger can be reached by the names that the tests use, and hears what is sent: silence means refusal."""
    import requests  # noqa: PLC0415 - this test only

    requests.get(f"http://azure.test:{stranger.port}/x", headers={"X": TOKEN[:5]}, timeout=5)
    assert stranger.heard.pop().startswith(b"GET /x")
    azure.route("/computes", {"value": []})
    assert list(client.computes.list()) == []
