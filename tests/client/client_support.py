"""Addresses, answers and small helpers that the client's tests share."""

from __future__ import annotations

import re

WS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ARM = f"https://management.azure.com{WS}"
REGION = "https://eastus.api.azureml.ms"
WORKSPACE = {"location": "eastus", "properties": {"discoveryUrl": f"{REGION}/discovery"}}


def regional(service: str) -> str:
    """Where a regional service stands for the workspace of the tests."""
    return f"{REGION}/{service}{WS}"


OPERATION = "https://management.azure.com/subscriptions/s/providers/x/operations/1?api-version=2019-11-01"
STARTED = {"Azure-AsyncOperation": OPERATION}
RUNNING = {
    "runId": "r1",
    "status": "Running",
    "experimentId": "e-guid",
    "dataContainerId": "dcid.r1",
    "tags": {"a": "b"},
}


def sent(mock, method):
    """Return the requests of one method."""
    return [request for request in mock.request_history if request.method == method]


def posts(mock, url):
    """Return the POSTs to an address, whatever follows it."""
    return [request for request in attempts(mock, url) if request.method == "POST"]


def requests_mock_any(prefix):
    """Match every address that begins so."""
    return re.compile(re.escape(prefix))


def attempts(mock, url):
    """Return the requests to an address, whatever follows it."""
    return [request for request in mock.request_history if request.url.startswith(url)]
