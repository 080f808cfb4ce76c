"""A version of a registered model, a name of models and an asset of model management, as the store keeps them."""

from __future__ import annotations

from typing import Any, TypedDict

VERSION, CONTAINER, ASSET = "model", "model-container", "asset"


class ModelVersion(TypedDict):
    """A version under the names of v1; `locations` says where its files are, and v2 adds members of its own."""

    name: str
    version: str
    ordinal: int
    created: str
    modified: str
    locations: list[tuple[str, str]]
    url: str
    runId: str | None
    description: str | None
    tags: dict[str, str]
    properties: dict[str, str]
    datasets: list[dict[str, Any]]
    isArchived: bool


class ModelContainer(TypedDict):
    """What a name stands for; `next` is the number that the next version without one of its own is given."""

    name: str
    next: int
    created: str
    modified: str
    description: str | None
    tags: dict[str, str]
    properties: dict[str, str]
    isArchived: bool


class ModelAsset(TypedDict):
    """An asset of model management: a name for artifacts."""

    id: str
    name: str
    description: str
    artifacts: list[dict[str, Any]]
    kvTags: dict[str, str]
    properties: dict[str, str]
    runid: str
    meta: dict[str, str]
    createdTime: str


MODELS = {VERSION: ModelVersion, CONTAINER: ModelContainer, ASSET: ModelAsset}
