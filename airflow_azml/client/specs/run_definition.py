"""Run definitions as people write them, checked before anything is sent.

If a key is unknown, the error names the nearest known one. Upper and lower case do not matter, as for the service; keys
are sent as the specification spells them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_azml.client.files.project import COLLECTED
from airflow_azml.client.specs import az_ml, run_environment
from airflow_azml.client.specs.loading import load
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

Table = dict[str, Any]
"""Known keys; a nested table where the value is an object of known keys, None where it is anything."""


def _free(names: str) -> Table:
    return dict.fromkeys(names.split())


# RunDefinition and below in execution.json 2019-09-30, and what azureml-core 1.x sends beside them.
_ENVIRONMENT: Table = {
    **_free("name version environmentVariables inferencingStackVersion r assetId autoRebuild databricks"),
    "python": _free(
        "interpreterPath userManagedDependencies condaDependencies condaDependenciesFile baseCondaEnvironment"
    ),
    "docker": {
        **_free("baseImage baseDockerfile enabled sharedVolumes shmSize gpuSupport arguments platform buildContext"),
        "baseImageRegistry": _free("address username password registryIdentity"),
    },
    "spark": _free("repositories packages precachePackages"),
}
_CONFIGURATION: Table = {
    **_free(
        "script command useAbsolutePath arguments framework communicator target jobName nodeCount instanceTypes "
        "maxRunDurationSeconds priority dataReferences data outputData dataCaches environmentVariables identity "
        "credentialPassthrough sourceDirectoryDataStore autoPrepareEnvironment amlCompute containerInstance pyTorch "
        "parallelTask applicationEndpoints resourceLayout commandReturnCodeConfig aiSuperComputer kubernetesCompute "
        "exposedPorts autoClusterComputeSpecification"
    ),
    "environment": _ENVIRONMENT,
    "history": _free("outputCollection directoriesToWatch enableMLflowTracking snapshotProject"),
    "spark": _free("configuration"),
    "tensorflow": _free("workerCount parameterServerCount"),
    "mpi": _free("processCountPerNode nodeCount"),
    "hdi": _free("yarnDeployMode"),
    "docker": _free("useDocker sharedVolumes shmSize arguments"),
}
_DEFINITION: Table = {
    "configuration": _CONFIGURATION,
    **_free("snapshotId parentRunId runType targetDetails telemetryValues"),
}
_WORDS = {
    "framework": ("Python", "PySpark", "Cntk", "TensorFlow", "PyTorch"),
    "communicator": ("None", "ParameterServer", "Gloo", "Mpi", "Nccl"),
}
_CONFIGURATION_KEY = "configuration"
_ENTRIES = ("script", "command")
_COUNTS = ("nodeCount", "maxRunDurationSeconds")


def run_definition(
    source: Mapping[str, Any] | str | Path, field: str = "definition", folders: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return a RunDefinition, checked and in the specification's spelling.

    Files that it names, such as `condaDependenciesFile`, are read, and their content stands in the result.

    :param source: the definition, or its configuration alone; a dict or a path.
    :param field: what the caller calls it, for messages.
    :param folders: where the files may be; the folder of `source`, or the present one, when there are none.
    """
    folders = folders or [Path() if isinstance(source, Mapping) else Path(source).parent]
    given = load(source, field)
    az_ml.refuse(given, field, "a run definition: script or command, target, environment ... (`configuration`)")
    if _CONFIGURATION_KEY not in {str(key).casefold() for key in given}:
        given = {_CONFIGURATION_KEY: given}
    given = {key: _with_v1_environment(value, str(key), field, folders) for key, value in given.items()}
    definition = _spelled(given, _DEFINITION, field)
    configuration = definition[_CONFIGURATION_KEY]
    if not isinstance(configuration, dict):
        raise InputError(f"{field}.configuration", configuration, "must be an object")
    _check_configuration(configuration, f"{field}.configuration")
    if isinstance(environment := configuration.get("environment"), dict):
        run_environment.inline_files(environment, f"{field}.configuration.environment", folders)
    return definition


def collected_folders(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the folders from which the service collects a run's results, as its checked definition has them."""
    history: Mapping[str, Any] = definition["configuration"].get("history") or {}
    watched = [PurePosixPath(str(path)).as_posix() for path in history.get("directoriesToWatch") or ()]
    return tuple(dict.fromkeys([*COLLECTED, *watched]))


def _with_v1_environment(configuration: Any, key: str, field: str, folders: Sequence[Path]) -> Any:
    """Return the configuration with its environment in the run API's form; other members as they are."""
    if key.casefold() != _CONFIGURATION_KEY or not isinstance(configuration, Mapping):
        return configuration
    where = f"{field}.configuration.environment"
    return {
        name: run_environment.from_v2(value, where, folders) if str(name).casefold() == "environment" else value
        for name, value in configuration.items()
    }


def _spelled(given: Mapping[str, Any], known: Table, where: str) -> dict[str, Any]:
    """Return the object with its keys in the specification's spelling, and so down where the keys are known."""
    spelling = {name.casefold(): name for name in known}
    result = {}
    for key, value in given.items():
        name = spelling.get(str(key).casefold())
        if name is None:
            raise InputError(f"{where}.{key}", None, _unknown(str(key), known))
        below = known[name]
        result[name] = _spelled(value, below, f"{where}.{name}") if below and isinstance(value, dict) else value
    return result


def _unknown(key: str, known: Table) -> str:
    near = difflib.get_close_matches(key.casefold(), [name.casefold() for name in known], n=1)
    meant = next((name for name in known if near and name.casefold() == near[0]), None)
    return f"unknown key; did you mean {meant!r}?" if meant else f"unknown key; known are {', '.join(sorted(known))}"


def _check_configuration(configuration: dict[str, Any], where: str) -> None:
    for name in _ENTRIES:
        entry = configuration.get(name)
        if entry is not None and not isinstance(entry, str):
            raise InputError(f"{where}.{name}", entry, f"must be text, not {type(entry).__name__}")
    if not configuration.get("script") and not configuration.get("command"):
        raise InputError(
            f"{where}.script", configuration.get("script"), "is required: the entry script, relative to the folder"
        )
    for name, words in _WORDS.items():
        if configuration.get(name) is not None:
            configuration[name] = _word(f"{where}.{name}", configuration[name], words)
    for name in _COUNTS:
        count = configuration.get(name)
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise InputError(f"{where}.{name}", count, "must be a whole number above 0")
    _check_variables(configuration, where)
    environment = configuration.get("environment")
    if isinstance(environment, dict):
        _check_variables(environment, f"{where}.environment")
    if (arguments := configuration.pop("arguments", None)) is not None:
        configuration["arguments"] = _arguments(f"{where}.arguments", arguments)


def _check_variables(owner: dict[str, Any], where: str) -> None:
    if owner.get("environmentVariables") is not None:
        owner["environmentVariables"] = texts(f"{where}.environmentVariables", owner["environmentVariables"])


def _arguments(where: str, arguments: object) -> list[str]:
    if not isinstance(arguments, list):
        raise InputError(where, arguments, "must be a list")
    if None in arguments:
        raise InputError(where, arguments, f"item {arguments.index(None) + 1} is empty; write '' for an empty text")
    return [str(argument) for argument in arguments]


def _word(where: str, value: object, words: tuple[str, ...]) -> str:
    for word in words:
        if str(value).casefold() == word.casefold():
            return word
    raise InputError(where, value, f"must be one of {', '.join(words)}")
