"""What the programs of a run find: names that Microsoft's SDKs can take apart, and authorities that they trust."""

from __future__ import annotations

import pytest
from runs_support import Client, zipped

# As azureml-core uploads a file: it takes the address of a blob apart and puts it together in its own way.
UPLOAD = """
import os, requests
from urllib.parse import urlsplit

e = os.environ
headers = {"Authorization": "Bearer " + e["AZUREML_RUN_TOKEN"]}
where = f"/artifact/v2.0{e['AZUREML_WORKSPACE_SCOPE']}/artifacts/batch/metadata/ExperimentRun/dcid."
body = {"paths": [{"path": "up.txt"}]}
answer = requests.post(e["AZUREML_SERVICE_ENDPOINT"] + where + e["AZUREML_RUN_ID"], json=body, headers=headers).json()
url = urlsplit(answer["artifactContentInformation"]["up.txt"]["contentUri"])
account, _, suffix = url.netloc.split(".", 2)
address = f"https://{account}.blob.{suffix}{url.path}?{url.query}"
print(requests.put(address, data=b"up", headers={"x-ms-blob-type": "BlockBlob"}).status_code)
"""


@pytest.fixture(scope="module")
def client(emulator):
    client = Client(emulator)
    client.ensure_compute()
    return client


def test_azureml_core_finds_the_storage_account_in_a_run(client):
    """The address of a blob has the account's name, `blob` and a suffix, and leads over TLS to the emulator."""
    run_id = client.start(UPLOAD)
    assert client.wait(run_id)["status"] == "Completed", client.log(run_id)
    assert client.log(run_id) == "201\n"
    names = client.emulator.regional("GET", "artifact/v2.0", f"/artifacts/ExperimentRun/dcid.{run_id}").json()["value"]
    assert "up.txt" in [artifact["path"] for artifact in names]


def test_a_run_keeps_its_own_python_path(client):
    """A PYTHONPATH of the definition is searched, too, and a `sitecustomize` in it is loaded."""
    project = zipped({"main.py": "import own", "mine/own.py": "print('own')", "mine/sitecustomize.py": "print('site')"})
    variables = {"PYTHONPATH": "mine", "REQUESTS_CA_BUNDLE": "mine.pem"}
    run_id = client.start("", zip_bytes=project, environmentVariables=variables)
    assert client.wait(run_id)["status"] == "Completed", client.log(run_id)
    assert client.log(run_id) == "site\nown\n"
