"""The environment of a run definition: files and named environments are replaced by their content.

The run API knows an image, a Dockerfile's text and conda packages. It does not read files of this machine, and an
environment that is only named has to be looked up before a run is started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.client.names import check_asset_name, check_model_version
from airflow_azml.client.specs import environment as environments
from airflow_azml.client.specs.loading import load, read_yaml
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.transport.text_files import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.specs.environment import EnvironmentSpec

_V2 = frozenset({"image", "conda_file", "condafile", "build"})
_MADE_OF = ("python", "spark")
_IMAGE = ("baseImage", "baseDockerfile", "buildContext")
_VERSION_ID = re.compile(r"(?i)^/.*/environments/(?P<name>[^/]+)/versions/(?P<version>[^/]+)$")


def from_v2(environment: object, field: str, folders: Sequence[Path]) -> object:
    """Return an environment in the run API's form when it is written as everywhere else, else as it is.

    :param field: what the caller calls it, for messages.
    :param folders: where its files may be.
    """
    if isinstance(environment, str):
        wanted = environments.read(environment, field)
        return {"assetId": wanted.id} if wanted.id else {"name": wanted.name, "version": wanted.version}
    if not isinstance(environment, Mapping) or not _V2 & {str(key).casefold() for key in environment}:
        return environment
    wanted = environments.read(
        environment, field, name="described", load=lambda name, where: load(found(name, where, folders), where)
    )
    return definition(wanted.properties or {}, field)


def definition(properties: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return what the run API calls an environment with an image and conda packages."""
    if not properties.get("image"):
        raise InputError(field, rule="is built from a Dockerfile: give its text as docker.baseDockerfile, or an image")
    conda = properties.get("condaFile")
    packages = read_yaml(conda, f"{field}.conda_file") if isinstance(conda, str) else conda
    conda_members = {"condaDependencies": packages} if packages else {}
    python = {"interpreterPath": "python", "userManagedDependencies": not packages, **conda_members}
    return {"python": python, "docker": {"baseImage": properties["image"]}}


def inline_files(environment: dict[str, Any], field: str, folders: Sequence[Path]) -> None:
    """Replace the names of files by what is in them; refuse what no service does any more."""
    if environment.get("r") is not None:
        rule = "is not supported, Azure ML has retired it: use an image that has R, and 'command'"
        raise InputError(f"{field}.r", rule=rule)
    python, docker = (_object(environment.get(name)) for name in ("python", "docker"))
    if (name := python.pop("condaDependenciesFile", None)) is not None:
        where = f"{field}.python.condaDependenciesFile"
        if python.get("condaDependencies") is not None:
            raise InputError(where, name, "cannot be given beside condaDependencies: give it in one of the two places")
        python["condaDependencies"] = load(found(name, where, folders), where)
    text = docker.get("baseDockerfile")
    if isinstance(text, str) and "\n" not in text and not text.lstrip().casefold().startswith("from "):
        where = f"{field}.docker.baseDockerfile"
        docker["baseDockerfile"] = read_text(where, found(text, where, folders))


def only_named(environment: object) -> EnvironmentSpec | None:
    """Return which environment is meant when a definition does not say what it is made of."""
    if not isinstance(environment, Mapping) or _is_described(environment):
        return None
    field = "run_definition.configuration.environment"
    if (asset := environment.get("assetId")) is not None:
        if version := _VERSION_ID.search(str(asset)):
            return environments.EnvironmentSpec(version["name"], version["version"])
        rule = "is not in the workspace, and the run API cannot look it up: give image and conda_file"
        raise InputError(f"{field}.assetId", asset, rule)
    if (name := environment.get("name")) is None:
        return None
    version = environment.get("version")
    return environments.EnvironmentSpec(
        check_asset_name(name, f"{field}.name"), version and check_model_version(version, f"{field}.version")
    )


def written_out(environment: Mapping[str, Any], made_of: Mapping[str, Any], called: str) -> dict[str, Any]:
    """Return an environment that was only named as what it is made of; what else is said about it stays.

    :param made_of: ``image`` and ``condaFile``.
    :param called: the environment in words, for messages.
    """
    kept = {key: value for key, value in environment.items() if key not in {"name", "version", "assetId", *_MADE_OF}}
    described = definition(made_of, called)
    return {**kept, **described, "docker": {**_object(environment.get("docker")), **described["docker"]}}


def found(name: object, field: str, folders: Sequence[Path]) -> Path:
    """Return the path of a file that a definition names; InputError when it is in none of the folders."""
    for folder in folders:
        with suppress(TypeError, OSError):
            if (path := folder / Path(name).expanduser()).is_file():  # type: ignore[arg-type]  # a TypeError is no file
                return path
    places = ", ".join(str(folder) for folder in folders)
    raise InputError(field, name, f"is no file in {places}")


def _is_described(environment: Mapping[str, Any]) -> bool:
    """Tell whether a definition says what the environment is made of; how its container is run says nothing of it."""
    docker = _object(environment.get("docker"))
    return any(environment.get(name) for name in _MADE_OF) or any(docker.get(name) for name in _IMAGE)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
