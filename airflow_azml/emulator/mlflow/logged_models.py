"""Logged models: what MLflow 3 makes of `log_model`, with its parameters, tags and the metrics measured of it.

A logged model of a run has its files among the run's artifacts, below its name, where MLflow 2 put them: there they are
found by whoever registers the run's model. A second one of that name in the run lies below its own id.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.mlflow.records import history_json, pairs, to_milliseconds
from airflow_azml.emulator.runs.history import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.emulator.kernel.store import Document, Store

KIND = "logged-model"
STATUSES = ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")


class LoggedModels:
    """The logged models of the workspace.

    :param store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, experiment: Document, run: Document | None, name: str, model_type: str, **said: dict[str, str]
    ) -> Document:
        """Create a model, whose files are to be uploaded.

        :param run: which has made it, if any.
        :param said: `params` and `tags`.
        """
        model_id = f"m-{uuid.uuid4().hex}"
        stamp = now()
        model = {
            "modelId": model_id,
            "name": name or model_id,
            "experimentId": experiment["experimentId"],
            "runId": run["runId"] if run else "",
            "path": self._path(model_id, run, name or model_id),
            "modelType": model_type,
            "status": STATUSES[0],
            "created": stamp,
            "modified": stamp,
            "ordinal": self._store.next_number(KIND),
            "metrics": {},
            **said,
        }
        self._store.add(KIND, model_id, model)
        return model

    def get(self, model_id: str) -> Document:
        """Return a model; the 404 of the service when there is none."""
        model = self._store.get(KIND, model_id)
        if model is None:
            raise Fault(404, "LoggedModelNotFound", f"Logged model with ID '{model_id}' not found.", target=model_id)
        return model

    def all(self) -> list[Document]:
        """Return all models, the newest first."""
        return sorted(self._store.all(KIND), key=lambda model: int(model["ordinal"]), reverse=True)

    def change(self, model_id: str, edit: Callable[[Document], None]) -> Document:
        """Let the function edit a model in place."""
        try:
            with self._store.change(KIND, model_id) as model:
                edit(model)
                model["modified"] = now()
                return model
        except AbsentError:
            return self.get(model_id)  # raises

    def delete(self, model_id: str) -> None:
        """Forget a model; its files are its run's."""
        self._store.delete(KIND, self.get(model_id)["modelId"])

    def measure(self, metric: Document) -> None:
        """Keep a metric that was measured of a model: the last of its name, data set and run."""
        key = "/".join([metric["name"], metric["dataset"][0], metric["runId"]])
        self.change(metric["modelId"], lambda model: model["metrics"].update({key: metric}))

    def _path(self, model_id: str, run: Document | None, name: str) -> str:
        root = f"ExperimentRun/{run['dataContainerId'] if run else f'dcid.{model_id}'}"
        taken = any(model["path"] == f"{root}/{name}" for model in self._store.all(KIND))
        return f"{root}/models/{model_id}" if taken else f"{root}/{name}"


def read_status(text: str) -> str:
    """Read the status of a model."""
    if text not in STATUSES:
        raise bad_request(f"'{text}' is not a status of a logged model.", target="status")
    return text


def model_json(model: Document) -> dict[str, Any]:
    """Render a model."""
    metrics = [
        {**row, "model_id": model["modelId"], "run_id": metric["runId"], "dataset_name": metric["dataset"][0],
         "dataset_digest": metric["dataset"][1]}
        for metric in model["metrics"].values()
        for row in history_json(metric["name"], [metric])
    ]  # fmt: skip
    info = {
        "model_id": model["modelId"],
        "experiment_id": model["experimentId"],
        "name": model["name"],
        "creation_timestamp_ms": to_milliseconds(model["created"]),
        "last_updated_timestamp_ms": to_milliseconds(model["modified"]),
        "artifact_uri": f"mlflow-artifacts:/{model['path']}",
        "status": model["status"],
        "model_type": model["modelType"],
        "source_run_id": model["runId"],
        "tags": pairs(model["tags"]),
    }
    return {"info": info, "data": {"params": pairs(model["params"]), "metrics": metrics}}
