"""The assets of model management (v1): a name for artifacts, which a model's `url` then points to."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import arm_resources, json_patch
from airflow_azml.emulator.http.faults import bad_request, not_found
from airflow_azml.emulator.http.wire import pick, pick_text, pick_texts
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.models import files
from airflow_azml.emulator.models.model import ASSET

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.models.files import Location

URL = re.compile(r"aml://(?P<kind>asset|artifact)/(?P<id>.+)", re.IGNORECASE)
EDITABLE = ("description", "kvTags", "properties")


class ModelAssets:
    """The assets of the workspace.

    :param store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, body: dict[str, Any]) -> Document:
        """Create an asset from a body as the specification has it."""
        artifacts = pick(body, "artifacts", default=[])
        if not isinstance(artifacts, list):
            raise bad_request("'artifacts' must be a list.", target="artifacts")
        asset: Document = {
            "id": str(uuid.uuid4()),
            "name": pick_text(body, "name"),
            "description": pick_text(body, "description", default=""),
            "artifacts": [_details(artifact) for artifact in artifacts],
            "kvTags": pick_texts(body, "kvTags"),
            "properties": pick_texts(body, "properties"),
            "runid": pick_text(body, "runid", default=""),
            "meta": pick_texts(body, "meta"),
            "createdTime": arm_resources.now(),
        }
        return self._store.put(ASSET, asset["id"], asset)

    def get(self, asset_id: str) -> Document:
        """Return an asset; the 404 of the service when there is none."""
        asset = self._store.get(ASSET, asset_id)
        if asset is None:
            raise not_found("Asset", asset_id)
        return asset

    def list(self) -> list[Document]:
        """Return all assets, the newest first."""
        return sorted(self._store.all(ASSET), key=lambda asset: str(asset["createdTime"]), reverse=True)

    def patch(self, asset_id: str, operations: Any) -> Document:
        """Change what may change of an asset."""
        try:
            with self._store.change(ASSET, asset_id) as asset:
                wanted = json_patch.patched({name: asset[name] for name in EDITABLE}, operations)
                asset["description"] = pick_text(wanted, "description", default="")
                asset["kvTags"] = pick_texts(wanted, "kvTags")
                asset["properties"] = arm_resources.keep_properties(
                    asset["properties"], pick_texts(wanted, "properties")
                )
                return asset
        except AbsentError:
            return self.get(asset_id)  # raises

    def delete(self, asset_id: str) -> bool:
        """Delete an asset, not its artifacts; tell whether it existed."""
        return self._store.delete(ASSET, asset_id)

    def locations(self, url: str) -> list[Location]:  # type: ignore[valid-type] # `list` is a method here
        """Return where the `url` of a v1 model leads: an asset's artifacts, or one artifact."""
        match = URL.fullmatch(url)
        if match is None:
            raise bad_request(f"'{url}' is not aml://asset/<id> or aml://artifact/<id>.", target="url")
        if match["kind"].casefold() == "artifact":
            return [files.of_artifact(match["id"])]
        artifacts = self.get(match["id"])["artifacts"]
        return [files.of_artifact(artifact.get("prefix") or artifact["id"]) for artifact in artifacts]


def _details(artifact: Any) -> dict[str, str]:
    given = {name: pick_text(artifact, name, default="") for name in ("id", "prefix")}
    if not any(given.values()):
        raise bad_request("An artifact of an asset needs an 'id' or a 'prefix'.", target="artifacts")
    return {name: value for name, value in given.items() if value}
