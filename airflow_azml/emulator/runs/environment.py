"""What a run finds around it: the packages its environment asks for, and the variables that tell it who it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from airflow_azml.emulator.assets.versioned import conda_specification, refuse_dockerfile
from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import pick, pick_text
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.process import conda
from airflow_azml.emulator.process.conda import EnvironmentBuildError

if TYPE_CHECKING:
    from airflow_azml.emulator.assets.versioned import Assets
    from airflow_azml.emulator.kernel.store import Document
    from airflow_azml.emulator.process.conda import Requirements
    from airflow_azml.emulator.runs.site import Site

INSIDE = Path(__file__).with_name("inside")
TRUST = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
TOKEN_LIFETIME = 30 * 24 * 3600  # seconds: as long as the service lets a run take


def definition_of(environment: dict[str, Any], registered: Assets) -> dict[str, Any]:
    """Return an environment's definition; that of a registered one when it is only named.

    Raises the 400 or 404 of an environment that is not registered, and the 501 of one that needs Docker to build it.
    """
    if asset_id := pick_text(environment, "assetId", default=""):
        return _of_version(registered.resolve(asset_id))
    name = pick_text(environment, "name", default="")
    if not name or pick(environment, "python") is not None or pick(environment, "docker") is not None:
        return environment
    version = str(pick(environment, "version", default=""))
    found = [each for each in registered.versions(name) if version in {"", each["version"]}]
    if not found:
        message = f"Environment '{name}{version and f':{version}'}' is not registered in the workspace."
        message += " The emulator has none of the curated environments." * name.casefold().startswith("azureml-")
        raise bad_request(message, code="EnvironmentNotFound", target="environment")
    return _of_version(found[0])


def _of_version(version: Document) -> dict[str, Any]:
    """Return the definition that a registered version stands for."""
    refuse_dockerfile(version)
    conda = conda_specification(version["spec"])
    return {"docker": {"baseImage": version["spec"]["image"]}, "python": {"condaDependencies": conda}}


def is_managed_by_user(environment: dict[str, Any]) -> bool:
    """Tell whether the packages are the user's own affair."""
    return pick(environment, "python", "userManagedDependencies") is True


def notes_on(environment: dict[str, Any]) -> list[str]:
    """Return a sentence for each thing that is replaced by what this machine has."""
    image, named = pick(environment, "docker", "baseImage"), _interpreter(environment)
    notes = [f"docker image '{image}' is not used: the run is a process of this machine."] if image else []
    if is_managed_by_user(environment) and named.is_absolute() and not named.exists():
        notes.append(f"interpreter '{named}' is not on this machine: the emulator's own is used.")
    return notes


def interpreter_of(environment: dict[str, Any]) -> Path:
    """Return the Python of an environment that the user manages: the one it names by its full path, else this one."""
    named = _interpreter(environment)
    return named if named.is_absolute() and named.exists() else Path(sys.executable)


def requirements_of(environment: dict[str, Any], project: Path) -> Requirements:
    """Return what an environment is built of. Raises EnvironmentBuildError.

    :param project: folder that a file of conda dependencies lies in.
    """
    dependencies, file = pick(environment, "python", "condaDependencies"), _conda_file(environment)
    if dependencies is None and file:
        try:
            dependencies = yaml.safe_load((project / file).read_bytes())
        except (OSError, yaml.YAMLError) as error:
            raise EnvironmentBuildError(
                f"'condaDependenciesFile' {file} of the project cannot be read: {error}"
            ) from error
    return conda.read(dependencies)


def _conda_file(environment: dict[str, Any]) -> str:
    return pick_text(environment, "python", "condaDependenciesFile", default="")


def _interpreter(environment: dict[str, Any]) -> Path:
    return Path(str(pick(environment, "python", "interpreterPath", default="python")))


def variables_of(site: Site, run_id: str, experiment: str, given: dict[str, str]) -> dict[str, str]:
    """Return the variables by which the SDKs inside the run find their run and the service, and those of the run.

    :param given: the run's own, which outweigh them.
    """
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
        "AZUREML_SERVICE_ENDPOINT": site.sdk_url,
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": site.sdk_url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{site.sdk_url}/discovery",
        "MLFLOW_TRACKING_URI": f"{site.local_url}/mlflow/v1.0{facts.WORKSPACE_PATH}",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_EXPERIMENT_NAME": experiment,
        "MLFLOW_EXPERIMENT_ID": run["experimentId"],
        "MLFLOW_RUN_ID": run_id,
        **(dict.fromkeys(TRUST, str(site.trusted)) if site.trusted.exists() else {}),
        **given,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(INSIDE), given.get("PYTHONPATH")])),
    }
