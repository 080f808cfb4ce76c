"""Inputs and outputs of runs, as MLflow keeps them: data sets and models that went in, models that came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import pick, pick_object, pick_text
from airflow_azml.emulator.mlflow.records import pairs, read_integer, read_pairs

if TYPE_CHECKING:
    from airflow_azml.emulator.kernel.store import Document, Store

KIND = "lineage"
DATASETS, INPUTS, OUTPUTS = "datasets", "inputs", "outputs"
DATASET = ("name", "digest", "source_type", "source", "schema", "profile")


class Lineage:
    """Inputs and outputs of runs.

    :param store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, run_id: str, **further: dict[str, Any]) -> None:
        """Add inputs or outputs to a run; what it has already is replaced.

        :param further: `datasets`, `inputs` and `outputs`, each by a key of its own.
        """
        with self._store.put_or_change(KIND, run_id) as known:
            for name, items in further.items():
                known[name] = {**known.get(name, {}), **items}

    def members(self, run_id: str) -> dict[str, Any]:
        """Return `inputs` and `outputs` of a run as MLflow writes them."""
        known = self._store.get(KIND, run_id) or {}
        inputs = {name: list(known.get(name, {}).values()) for name in (DATASETS, INPUTS)}
        return {
            "inputs": {"dataset_inputs": inputs[DATASETS], "model_inputs": inputs[INPUTS]},
            "outputs": {"model_outputs": list(known.get(OUTPUTS, {}).values())},
        }


def read_datasets(body: Any) -> dict[str, Document]:
    """Read a list of `DatasetInput`."""
    found = {}
    for item in _listed(body, "datasets"):
        given = pick_object(item, "dataset")
        dataset = {name: pick_text(given, name, default="") for name in DATASET}
        tags = pairs(read_pairs(pick(item, "tags", default=[])))
        found[f"{dataset['name']}/{dataset['digest']}"] = {"dataset": dataset, "tags": tags}
    return found


def read_models(body: Any) -> dict[str, Document]:
    """Read a list of models by their ids, with the step at which they were made."""
    found = {}
    for item in _listed(body, "models"):
        model = {"model_id": pick_text(item, "model_id"), "step": read_integer(item, "step")}
        found[f"{model['model_id']}/{model['step']}"] = model
    return found


def _listed(body: Any, name: str) -> list[Any]:
    items = pick(body, name, default=[])
    if not isinstance(items, list):
        raise bad_request(f"'{name}' must be a list.", target=name)
    return items
