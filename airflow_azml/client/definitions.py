"""Run definitions and resource specs as people write them: a dict, or a ``.json``, ``.yml`` or ``.yaml`` file.

What is wrong is said before anything is sent, with file and line; a key that the service does not know is answered
with the one that was probably meant. Keys are accepted in any case, as the service does, and sent as the
specification spells them.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_azml.client.files.project import COLLECTED
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.transport.text_files import read_text
from airflow_azml.client.values import mapping, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yaml import SafeLoader

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
_ENTRIES = ("script", "command")
_COUNTS = ("nodeCount", "maxRunDurationSeconds")


def run_definition(source: Mapping[str, Any] | str | Path, field: str = "definition") -> dict[str, Any]:
    """Return a RunDefinition, checked and in the specification's spelling.

    :param source: the definition, or its configuration alone; a dict or a path.
    :param field: what the caller calls it, for messages.
    """
    given = load(source, field)
    if "configuration" not in {str(key).casefold() for key in given}:
        given = {"configuration": given}
    definition = _spelled(given, _DEFINITION, field)
    configuration = definition["configuration"]
    if not isinstance(configuration, dict):
        raise InputError(f"{field}.configuration", configuration, "must be an object")
    _check_configuration(configuration, f"{field}.configuration")
    return definition


def collected_folders(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the folders from which the service collects a run's results, as its checked definition has them."""
    history: Mapping[str, Any] = definition["configuration"].get("history") or {}
    watched = [PurePosixPath(str(path)).as_posix() for path in history.get("directoriesToWatch") or ()]
    return tuple(dict.fromkeys([*COLLECTED, *watched]))


def load(
    source: Mapping[str, Any] | str | Path, field: str, render: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """Return a copy of a dict, or what a JSON or YAML file holds.

    :param field: what the caller calls it, for messages.
    :param render: applied to the file's text before it is parsed.
    """
    if not isinstance(source, str | Path):
        return mapping(field, source)
    path = Path(source)
    text = read_text(field, path)
    content = _parse(path, render(text) if render else text, field)
    if not isinstance(content, dict):
        raise InputError(field, str(source), f"must hold an object, not {type(content).__name__}")
    return content


def _parse(path: Path, text: str, field: str) -> Any:
    import yaml  # noqa: PLC0415 - only when there is a file

    try:
        match path.suffix.lower():
            case ".json":
                return json.loads(text)
            case ".yml" | ".yaml":
                return yaml.load(text, _yaml_loader())  # noqa: S506 - a SafeLoader
    except json.JSONDecodeError as error:
        raise InputError(field, str(path), f"does not parse: line {error.lineno}: {error.msg}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(field, str(path), f"does not parse: line {line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:  # a control character, a number that is none: no line is known
        raise InputError(field, str(path), f"does not parse: {' '.join(str(error).split())}") from error
    raise InputError(field, str(path), "must be a .json, .yml or .yaml file")


@cache
def _yaml_loader() -> type[SafeLoader]:
    """Return a loader to which a date is text, as it was written: JSON knows no dates."""
    from yaml import SafeLoader  # noqa: PLC0415 - only when there is a file

    class DatesAreText(SafeLoader):
        pass

    DatesAreText.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))
    return DatesAreText


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
