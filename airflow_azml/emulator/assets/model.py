"""A version of a named asset as the store keeps it."""

from __future__ import annotations

from typing import Any, TypedDict


class AssetVersion(TypedDict):
    """What the version says (`spec`) and since when; each kind of asset has specs of its own."""

    name: str
    version: str
    spec: dict[str, Any]
    created: str
    modified: str


MODELS = {"codes": AssetVersion, "environments": AssetVersion}
