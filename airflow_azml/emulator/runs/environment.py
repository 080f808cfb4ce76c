"""What a run finds around it: the packages its environment asks for, and the variables that tell it who it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.wire import pick
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from airflow_azml.emulator.assets.versioned import Assets
    from airflow_azml.emulator.runs.site import Site

TOKEN_LIFETIME = 30 * 24 * 3600  # seconds: as long as the service lets a run take


def conda_of(environment: dict[str, Any], registered: Assets) -> tuple[bool, Any, list[str]]:
    """Read an environment definition.

    :return: whether the user manages the packages, else the conda specification; and what cannot be honoured.
    """
    python = pick(environment, "python")
    image = pick(environment, "docker", "baseImage")
    notes = [f"docker image '{image}' is not used: the run is a process of this machine."] if image else []
    if python is None and pick(environment, "name"):
        return False, _registered(environment, registered), notes
    if pick(python, "userManagedDependencies") is True:
        named = _interpreter(environment)
        missing = [f"interpreter '{named}' is not on this machine: the emulator's own is used."]
        return True, None, notes + (missing if named.is_absolute() and not named.exists() else [])
    return False, pick(python, "condaDependencies"), notes


def interpreter_of(environment: dict[str, Any]) -> Path:
    """Return the Python of an environment that the user manages: the one it names by its full path, else this one."""
    named = _interpreter(environment)
    return named if named.is_absolute() and named.exists() else Path(sys.executable)


def _interpreter(environment: dict[str, Any]) -> Path:
    return Path(str(pick(environment, "python", "interpreterPath", default="python")))


def _registered(environment: dict[str, Any], registered: Assets) -> Any:
    """Return the conda file of a registered environment that a definition only names; None when there is none."""
    name, version = str(pick(environment, "name")), pick(environment, "version")
    versions = registered.versions(name)
    found = [each for each in versions if version is None or each["version"] == str(version)]
    try:
        return yaml.safe_load(found[0]["spec"].get("condaFile") or "") if found else None
    except (yaml.YAMLError, Fault):
        return None


def variables_of(site: Site, run_id: str, experiment: str) -> dict[str, str]:
    """Return the variables by which the SDKs inside the run find their run and the service."""
    run = site.runs.get(run_id)
    issuer = f"{site.local_url}/{facts.TENANT}/"
    token = site.identity.sign(
        issuer=issuer, tenant=facts.TENANT, audience="https://ml.azure.com", lifetime=TOKEN_LIFETIME
    )
    return {
        "AZUREML_RUN_ID": run_id,
        "AZUREML_ROOT_RUN_ID": run["rootRunId"],
        "AZUREML_RUN_TOKEN": token,
        "AZUREML_EXPERIMENT_NAME": experiment,
        "AZUREML_EXPERIMENT_ID": run["experimentId"],
        "AZUREML_EXPERIMENT_SCOPE": f"{facts.WORKSPACE_PATH}/experiments/{experiment}",
        "AZUREML_ARM_SUBSCRIPTION": facts.SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": facts.RESOURCE_GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": facts.WORKSPACE,
        "AZUREML_ARM_PROJECT_NAME": experiment,
        "AZUREML_WORKSPACE_ID": facts.WORKSPACE_ID,
        "AZUREML_WORKSPACE_SCOPE": facts.WORKSPACE_PATH,
        "AZUREML_SERVICE_ENDPOINT": site.local_url,
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": site.local_url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{site.local_url}/discovery",
        "MLFLOW_TRACKING_URI": f"{site.local_url}/mlflow/v1.0{facts.WORKSPACE_PATH}",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_EXPERIMENT_NAME": experiment,
        "MLFLOW_EXPERIMENT_ID": run["experimentId"],
        "MLFLOW_RUN_ID": run_id,
    }
