"""Versions of models (v2): found by filters, changed, and deleted unless something uses them."""

from __future__ import annotations

import pytest
from client_support import ARM
from model_support import MODEL, MODELS, arm

from airflow_azml.client.transport import errors


@pytest.mark.parametrize(("status", "was"), [(200, True), (202, True), (204, False), (404, False)])
def test_v2_get_and_delete(client, requests_mock, status, was):
    """A version is read and deleted; what was not there is False."""
    rewritten = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.r9/outputs"
    requests_mock.get(f"{MODEL}/versions/1", json={"name": "1", "properties": {"modelUri": rewritten}})
    requests_mock.delete(f"{MODEL}/versions/1", status_code=status)
    assert client.models.get("m", "1").run_id == "r9"
    assert client.models.delete("m", "1") is was


ENDPOINTS = f"{ARM}/onlineEndpoints"


def test_v2_list_of_all_models_with_filters(client, requests_mock):
    """Every name, every page; the service is told the tags, and what it sends too much is left out."""
    requests_mock.get(MODELS, json={"value": [{"name": "m"}], "nextLink": f"{MODELS}?page=2"})
    requests_mock.get(f"{MODELS}?page=2", json={"value": [{"name": "n"}]})
    rows = [arm("3", tags={"stage": "prod"}), arm("2", tags={"stage": "test"}), arm("1", uri="azureml://jobs/r2/x")]
    requests_mock.get(f"{MODELS}/m/versions", json={"value": rows})
    requests_mock.get(f"{MODELS}/n/versions", json={"value": [arm("1", tags={"stage": "prod"})]})
    found = client.models.list(tags={"stage": "prod"}, run_id="r1")
    assert [(model.name, model.version) for model in found] == [("m", "3"), ("n", "1")]
    assert requests_mock.last_request.qs["tags"] == ["stage=prod"]
    assert [model.version for model in client.models.list("m", run_id="r2")] == ["1"]
    assert [model.version for model in client.models.list("m", tags={"stage": None})] == ["3", "2"]


def test_v2_update_writes_the_whole_version_back(client, requests_mock):
    """Tags are merged, what is read-only is left out, what was not asked for stays; the same again sends nothing."""
    inner = {"tags": {"a": "1"}, "jobName": "r1", "stage": "dev", "provisioningState": "Succeeded"}
    requests_mock.get(f"{MODELS}/m/versions/1", json=arm("1", **inner))
    requests_mock.put(f"{MODELS}/m/versions/1", json=arm("1", tags={"a": "2"}))
    client.models.update("m", "1", tags={"b": 2}, description="d")
    assert requests_mock.last_request.json()["properties"] == {
        "modelUri": "azureml://jobs/r1/outputs/artifacts/paths/model",
        "jobName": "r1",
        "stage": "dev",
        "tags": {"a": "1", "b": "2"},
        "description": "d",
    }
    client.models.update("m", "1", tags={"a": 1})
    assert requests_mock.last_request.method == "GET"


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("status", [400, 409, 412])
def test_v2_deletion_of_a_model_in_use_says_by_whom(client, requests_mock, status):
    """Whatever status the service refuses with."""
    requests_mock.delete(f"{MODELS}/m/versions/1", status_code=status, json={"error": {"code": "X", "message": "no."}})
    with pytest.raises(errors.ConflictError, match=r"X: no\. It is used by deployment blue of endpoint ep1\. Delete"):
        client.models.delete("m", "1")


@pytest.mark.usefixtures("in_use")
def test_delete_all_deletes_what_it_can(client, requests_mock):
    """One version in use keeps neither the others, nor the reason."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": [arm("3"), arm("2"), arm("1")]})
    requests_mock.delete(f"{MODELS}/m/versions/3", status_code=200)
    requests_mock.delete(f"{MODELS}/m/versions/2", status_code=204)
    requests_mock.delete(f"{MODELS}/m/versions/1", status_code=409, json={"error": {"message": "in use"}})
    with pytest.raises(errors.ConflictError, match=r"deployment blue of endpoint ep1\. Deleted: 3\."):
        client.models.delete_all("m")
    requests_mock.delete(f"{MODELS}/m/versions/1", status_code=200)
    assert client.models.delete_all("m") == ("3", "1")
