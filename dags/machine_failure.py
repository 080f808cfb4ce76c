"""What the example DAGs share: the environment and the run definition of scripts/train/train.py."""

from __future__ import annotations

from typing import Any

IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
EXPERIMENT = "machine-failure"


def conda(*packages: str) -> dict[str, Any]:
    """Return a conda environment with pip packages; training and scoring need the same scikit-learn."""
    pip = ["scikit-learn==1.9.1", *packages]
    return {"channels": ["conda-forge"], "dependencies": ["python=3.11", "pip", {"pip": pip}]}


def training(*arguments: str) -> dict[str, Any]:
    """Return the run definition of train.py."""
    return {
        "script": "train.py",
        "arguments": list(arguments),
        "maxRunDurationSeconds": 1800,
        "environment": {
            "name": "machine-failure-train",
            "docker": {"baseImage": IMAGE},
            "python": {"userManagedDependencies": False, "condaDependencies": conda("azureml-mlflow")},
        },
    }
