"""Where the emulator says that its faces are: to callers by its own address, and by the names of Azure's hosts."""

from __future__ import annotations

import pytest
import requests
from emulator_process import WORKSPACE
from runs_support import HISTORY, Client

from airflow_azml.emulator.http import addresses

REGIONAL = "https://eastus.api.azureml.ms"


@pytest.fixture(scope="module")
def come_by(emulator):
    """Call over TLS under one of Azure's names, as through a proxy that leads there."""

    def call(host, path, method="GET", **options):
        headers = {"Host": host, "Authorization": f"Bearer {emulator.token}"}
        certificate = emulator.data / "ca.pem"
        return requests.request(
            method, emulator.tls_url + path, headers=headers, verify=certificate, timeout=10, **options
        )

    return call


def test_azures_names_lead_to_azures_names(come_by, serving):
    """Who comes by Resource Manager's name is sent to the region, to the storage account and to the scoring host."""
    serving.endpoint("addresses")
    arm, version = "management.azure.com", {"api-version": "2023-10-01"}
    workspace = come_by(arm, WORKSPACE, params=version).json()["properties"]
    assert workspace["discoveryUrl"] == f"{REGIONAL}/discovery"
    assert workspace["mlFlowTrackingUri"] == f"azureml://eastus.api.azureml.ms/mlflow/v1.0{WORKSPACE}"
    path = f"{WORKSPACE}/codes/c/versions/1/startPendingUpload"
    upload = come_by(arm, path, "POST", params=version, json={}).json()
    place = upload["blobReferenceForConsumption"]["blobUri"]
    assert place == f"https://azuremllocal.blob.core.windows.net/{upload['pendingUploadId']}"
    endpoint = come_by(arm, f"{WORKSPACE}/onlineEndpoints/addresses", params=version).json()["properties"]
    assert endpoint["scoringUri"] == "https://addresses.eastus.inference.ml.azure.com/score"
    endpoints = come_by(arm, "/metadata/endpoints").json()[0]
    assert endpoints["authentication"]["loginEndpoint"] == "https://login.microsoftonline.com"
    assert endpoints["resourceManager"] == "https://management.azure.com"


def test_discovery_names_every_service(come_by):
    """All services are at the regional address, but for the studio, whose links a person opens."""
    found = come_by("eastus.api.azureml.ms", "/discovery").json()
    assert found.pop("studio") == "https://ml.azure.com"
    assert set(found.values()) == {REGIONAL}
    assert {"api", "experimentation", "history", "hyperdrive", "modelmanagement"} <= set(found)


def test_a_signed_url_by_name_opens_the_blob(emulator, come_by):
    """What is handed out under the storage account's name is good for a caller who brings that name as Host."""
    client = Client(emulator)
    client.ensure_compute()
    run_id = client.start("print('by name')")
    client.wait(run_id)
    details = come_by("eastus.api.azureml.ms", f"{HISTORY}/runs/{run_id}/details").json()
    url = details["logFiles"]["user_logs/std_log.txt"]
    host, _, path = url.removeprefix("https://").partition("/")
    assert host == "azuremllocal.blob.core.windows.net"
    assert requests.get(f"{emulator.url}/{path}", headers={"Host": host}, timeout=10).text == "by name\n"


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8700", "https://azureml.example.com", "https://management.azure.com.evil.example"]
)
def test_any_other_address_leads_back_to_itself(base):
    """Beside Azure's own names every face is at the address that the caller came by."""
    faces = (addresses.login, addresses.resource_manager, addresses.regional, addresses.studio)
    assert {face(base) for face in faces} == {base}
    assert addresses.blobs(base) == f"{base}/_blob/azuremllocal"
    assert addresses.scoring(base, "e") == f"{base}/_score/e"
