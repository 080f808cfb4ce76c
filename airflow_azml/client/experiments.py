"""Experiments: the names under which runs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.client.merging import differences
from airflow_azml.client.names import check_experiment_name
from airflow_azml.client.service import Service
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HISTORY = "history/v1.0"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment.

    :param id: its GUID.
    :param raw: the answer's JSON.
    """

    name: str
    id: str
    description: str
    tags: Mapping[str, str]
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Experiment:
        """Read the service's JSON."""
        return cls(
            name=str(raw.get("name") or ""),
            id=str(raw.get("experimentId") or ""),
            description=str(raw.get("description") or ""),
            tags=raw.get("tags") or {},
            raw=raw,
        )


class Experiments(Service):
    """List, read and create experiments."""

    def list(self, *, include_archived: bool = False) -> Iterator[Experiment]:
        """Yield the experiments of the workspace."""
        # Not GET .../experiments, which the REST article shows: no published specification has it.
        body = {"viewType": "All" if include_archived else "ActiveOnly", "top": _PAGE}
        url = self.regional(HISTORY) + "/experiments:query"
        rows = self.http.pages("POST", url, operation="query experiments", json=body, retry="always")
        # As with hidden runs, what a service sends too much is left out here.
        return (Experiment.parse(row) for row in rows if include_archived or not row.get("archivedTime"))

    def get(self, name: str) -> Experiment:
        """Return an experiment; NotFoundError when there is none."""
        return Experiment.parse(
            self.http.json("GET", self.regional(HISTORY, "experiments", name), operation="get experiment")
        )

    def by_id(self, experiment_id: str) -> Experiment:
        """Return an experiment by its GUID, which is all that a run tells of it; NotFoundError when there is none."""
        return Experiment.parse(
            self.http.json("GET", self.regional(HISTORY, "experimentids", experiment_id), operation="get experiment")
        )

    def create(self, name: str) -> Experiment:
        """Create an experiment, or return the one of that name."""
        url = self.regional(HISTORY, "experiments", check_experiment_name(name))
        response = self.http.request("GET", url, operation="get experiment", allow=(404,))
        if response.status_code == 404:  # noqa: PLR2004 - it is new
            return Experiment.parse(self.http.json("POST", url, operation="create experiment", retry="always"))
        return Experiment.parse(response.json())

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
        if bool(there.raw.get("archivedTime")) is not restore:
            return there
        return self._patch(there, {"archive": not restore}, "archive experiment")

    def _patch(self, there: Experiment, body: Mapping[str, Any], operation: str) -> Experiment:
        url = self.regional(HISTORY, "experimentids", there.id)
        return Experiment.parse(self.http.json("PATCH", url, operation=operation, json=body))
