"""Experiments: the names under which runs are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_azml.client.merging import differences
from airflow_azml.client.names import check_experiment_name
from airflow_azml.client.resources.resource import Resource
from airflow_azml.client.resources.value import Json, Value
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORY = "history/v1.0"
_PAGE = 500


class Experiment(Value, frozen=True):
    """An experiment.

    :param id: its GUID.
    :param archived_time: when it was archived; empty while it is not.
    """

    name: str = ""
    id: str = msgspec.field(default="", name="experimentId")
    description: str = ""
    tags: Mapping[str, str] = {}
    archived_time: str = ""


class Experiments(Resource):
    """List, read and create experiments."""

    kind = "experiments"

    def list(self, *, include_archived: bool = False) -> Iterator[Experiment]:
        """Yield the experiments of the workspace."""
        # Not GET .../experiments, which the REST article shows: no published specification has it.
        body = {"viewType": "All" if include_archived else "ActiveOnly", "top": _PAGE}
        url = self.regional(HISTORY) + "/experiments:query"
        rows = self.http.pages("POST", url, operation="query experiments", json=body, retry="always")
        # A service may send archived ones all the same: they are left out here.
        return (Experiment.of(row) for row in rows if include_archived or not row.get("archivedTime"))

    def get(self, name: str) -> Experiment:
        """Return an experiment; NotFoundError when there is none."""
        return Experiment.of(self.read(self._url(name), {}))

    def by_id(self, experiment_id: str) -> Experiment:
        """Return an experiment by its GUID, which a run tells instead of the name; NotFoundError when there is none."""
        return Experiment.of(self.read(self.regional(HISTORY, "experimentids", experiment_id), {}))

    def create(self, name: str) -> Experiment:
        """Create an experiment, or return the one of that name."""
        url = self._url(name)
        there = self.found(url, {})
        return Experiment.of(there or self.http.json("POST", url, operation="create experiment", retry="always"))

    def update(self, name: str, *, tags: Mapping[str, str] | None = None, description: str | None = None) -> Experiment:
        """Add or change tags, change the description; return the experiment as it is now."""
        body: dict[str, Any] = {"tags": texts("tags", tags)}
        if description is not None:
            body["description"] = description
        there = self.get(name)
        return self._patch(there, body, "update experiment") if differences(there.raw, body, exact=True) else there

    def archive(self, name: str, *, restore: bool = False) -> Experiment:
        """Hide an experiment from lists, or bring it back; the service deletes none."""
        there = self.get(name)
        if bool(there.archived_time) is not restore:
            return there
        return self._patch(there, {"archive": not restore}, "archive experiment")

    def _patch(self, there: Experiment, body: Json, operation: str) -> Experiment:
        url = self.regional(HISTORY, "experimentids", there.id)
        return Experiment.of(self.http.json("PATCH", url, operation=operation, json=body))

    def _url(self, name: str) -> str:
        return self.regional(HISTORY, "experiments", check_experiment_name(name))
