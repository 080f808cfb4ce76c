"""Addresses that the client's tests share."""

from __future__ import annotations

WS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ARM = f"https://management.azure.com{WS}"
REGION = "https://eastus.api.azureml.ms"
WORKSPACE = {"location": "eastus", "properties": {"discoveryUrl": f"{REGION}/discovery"}}


def regional(service: str) -> str:
    """Where a regional service stands for the workspace of the tests."""
    return f"{REGION}/{service}{WS}"
