"""Where the example DAGs are: shipped in the wheel, and in the checkout that an editable install points to."""

from __future__ import annotations

from pathlib import Path

import airflow_azml

EXAMPLE = "azureml_train_deploy_cleanup"
"""The DAG that the demo runs."""


def example_dags() -> Path:
    """Return the folder of the example DAGs."""
    package = Path(airflow_azml.__file__).parent
    installed = package / "example_dags"
    return installed if installed.is_dir() else package.parent / "dags"


def has_example(dags: Path) -> bool:
    """Tell whether a folder holds the DAG that the demo runs."""
    return (dags / f"{EXAMPLE}.py").is_file()
