"""Serve the model that train.py has written; runs in Azure ML, behind an online endpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import joblib

model: Any = None


def init() -> None:
    """Load the model, once per process."""
    global model  # noqa: PLW0603 - the contract of Azure ML's inference server
    path = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("model.joblib"))
    model = joblib.load(path)
    print(f"loaded {path.name}")


def run(raw_data: str) -> dict[str, Any]:
    """Return, for each machine, the probability that it fails within a week."""
    machines = json.loads(raw_data)["machines"]
    probabilities = model.predict_proba(machines)[:, 1]
    return {"failure_probability": [round(float(probability), 4) for probability in probabilities]}
