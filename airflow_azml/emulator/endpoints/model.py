"""An online endpoint and a deployment as the store keeps them."""

from __future__ import annotations

from typing import Any, TypedDict

from airflow_azml.emulator.kernel.operations import Change

ENDPOINT, DEPLOYMENT = "endpoint", "deployment"


class Endpoint(TypedDict):
    """What the endpoint is, its keys, where it stands, and the change under way."""

    name: str
    location: str
    tags: dict[str, str]
    identityType: str
    authMode: str
    description: Any
    properties: dict[str, str]
    publicNetworkAccess: str
    mirrorTraffic: dict[str, int]
    traffic: dict[str, int]
    keys: dict[str, str]
    created: str
    modified: str
    state: str
    change: Change | None


class Served(TypedDict):
    """What takes requests."""

    revision: int
    spec: dict[str, Any]


class Deployment(TypedDict):
    """What the deployment is, where it stands, and the change under way; `revision` counts its updates."""

    endpoint: str
    name: str
    location: str
    tags: dict[str, str]
    sku: dict[str, Any]
    identityType: str
    spec: dict[str, Any]
    created: str
    modified: str
    state: str
    change: Change | None
    revision: int
    served: Served | None


MODELS = {ENDPOINT: Endpoint, DEPLOYMENT: Deployment}
