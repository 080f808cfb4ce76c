"""Outputs of a run, files of this machine, and a deployment that uses a model."""

from __future__ import annotations

import re

import pytest
from model_support import ARTIFACTS, CONTENT, ENDPOINTS


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "a.pkl").write_bytes(b"aaa")
    (tmp_path / "model" / "sub" / "b").write_bytes(b"")
    (tmp_path / "model" / "link").symlink_to("/etc/hostname")
    return tmp_path / "model"


@pytest.fixture
def in_use(requests_mock):
    """A deployment that serves version 1 of m."""
    requests_mock.get(ENDPOINTS, json={"value": [{"name": "ep1"}]})
    blue = {"name": "blue", "properties": {"model": "/subscriptions/x/MODELS/m/versions/1"}}
    green = {"name": "green", "properties": {"model": "/subscriptions/x/models/m/versions/11"}}
    requests_mock.get(f"{ENDPOINTS}/ep1/deployments", json={"value": [blue, green]})


@pytest.fixture
def outputs(requests_mock):
    requests_mock.get(CONTENT, json={"value": [{"path": "outputs/model/a", "contentUri": "https://sa/c?sig=x"}]})


@pytest.fixture
def uploads(requests_mock):
    """The artifact service and the blob storage behind it; what was put where."""
    stored = {}

    def places(request, _):
        paths = [row["path"] for row in request.json()["paths"]]
        container = request.path.split("/")[-3]
        base = f"https://sa.blob.core.windows.net/azureml/LocalUpload/{container}"
        return {"artifactContentInformation": {path: {"contentUri": f"{base}/{path}?sig=s1"} for path in paths}}

    def keep(request, context):
        context.status_code = 201
        stored[request.path.rpartition("/model/")[2]] = b"".join(request.body) if request.body else b""
        assert "Authorization" not in request.headers
        return ""

    requests_mock.post(re.compile(re.escape(f"{ARTIFACTS}/localupload/"), re.IGNORECASE), json=places)
    requests_mock.put(re.compile("https://sa.blob.core.windows.net/"), text=keep)
    return stored
