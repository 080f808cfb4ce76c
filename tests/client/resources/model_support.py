"""Addresses and answers that the tests of both model registries share."""

from __future__ import annotations

from client_support import ARM, regional

from airflow_azml.client.resources.run_history import Run

RUN = Run.of({"runId": "r1", "status": "Completed", "dataContainerId": "dcid.r1"})
ARTIFACTS = regional("artifact/v2.0") + "/artifacts"
CONTENT = f"{ARTIFACTS}/prefix/contentinfo/ExperimentRun/dcid.r1/outputs/model"
MANAGED = regional("modelmanagement/v1.0") + "/models"
MODELS = f"{ARM}/models"
MODEL = f"{ARM}/models/m"
ENDPOINTS = f"{ARM}/onlineEndpoints"
WANTED = {
    "name": "m",
    "path": "outputs/model/",
    "key": "k1",
    "tags": {"n": 1},
    "properties": {"p": "q"},
    "model_type": "mlflow_model",
}


def arm(version, uri="azureml://jobs/r1/outputs/artifacts/paths/model", **properties):
    return {"name": version, "properties": {"modelUri": uri, "provisioningState": "Succeeded", **properties}}
