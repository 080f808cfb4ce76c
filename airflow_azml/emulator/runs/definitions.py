"""What a run definition asks for: read once, in any case, and refused with the member's name when it cannot be.

The members are those of `RunDefinition` and `RunConfiguration` of the published execution specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.wire import pick, pick_object, pick_text
from airflow_azml.emulator.runs import data

if TYPE_CHECKING:
    from airflow_azml.emulator.runs.data import Data

FRAMEWORKS = ("python", "pytorch", "tensorflow", "cntk")
MAX_NODES = 10_000


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run to be.

    :param target: name of the compute.
    :param script: path of the script in the project; empty when `command` is given.
    :param command: shell command, instead of a script.
    :param arguments: of the script.
    :param node_count: nodes that the run needs.
    :param max_seconds: how long it may run; None for no limit.
    :param environment: the environment's definition.
    :param variables: environment variables of the process.
    :param collected: folders of the project that are kept as artifacts.
    :param data: what it finds in, or leaves in, datastores.
    """

    target: str
    script: str
    command: str
    arguments: tuple[str, ...]
    node_count: int
    max_seconds: int | None
    environment: dict[str, Any]
    variables: dict[str, str]
    collected: tuple[str, ...]
    data: tuple[Data, ...]


def configuration_of(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition's configuration with its members' names as the specification writes them."""
    configuration = pick_object(definition, "configuration")
    if not configuration:
        raise bad_request("'configuration' is required.", target="configuration")
    return {name[:1].lower() + name[1:]: value for name, value in configuration.items()}


def read(configuration: dict[str, Any], run_id: str) -> RunSpec:
    """Read the configuration of a run; raise the service's 400 when a member is missing or of a wrong kind."""
    _refuse_unsupported(configuration)
    command = pick(configuration, "command", default="")
    command = " ".join(map(str, command)) if isinstance(command, list) else str(command)
    script = pick_text(configuration, "script", default="")
    if not script and not command:
        raise bad_request("'configuration.script' is required.", target="script")
    environment = pick_object(configuration, "environment")
    return RunSpec(
        target=pick_text(configuration, "target"),
        script=script,
        command="" if script else command,
        arguments=_arguments(configuration),
        node_count=_whole(configuration, "nodeCount", 1, MAX_NODES) or 1,
        max_seconds=_whole(configuration, "maxRunDurationSeconds", 0, 2**40) or None,
        environment=environment,
        variables=_texts(environment, "environmentVariables") | _texts(configuration, "environmentVariables"),
        collected=_collected(configuration),
        data=data.read(configuration, run_id),
    )


def _refuse_unsupported(configuration: dict[str, Any]) -> None:
    framework = pick_text(configuration, "framework", default="Python")
    communicator = pick_text(configuration, "communicator", default="None")
    if framework.casefold() not in FRAMEWORKS:
        raise Fault(501, "NotImplemented", f"The emulator does not run the framework '{framework}'.")
    if communicator.casefold() != "none":
        raise Fault(501, "NotImplemented", f"The emulator does not offer the communicator '{communicator}'.")


def _arguments(configuration: dict[str, Any]) -> tuple[str, ...]:
    arguments = pick(configuration, "arguments", default=[])
    if not isinstance(arguments, list) or not all(isinstance(each, str | int | float) for each in arguments):
        raise bad_request("'configuration.arguments' must be a list of strings and numbers.", target="arguments")
    if any("\0" in str(each) for each in arguments):
        raise bad_request("'configuration.arguments' must not contain NUL characters.", target="arguments")
    return tuple(str(each) for each in arguments)


def _whole(configuration: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = pick(configuration, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad_request(f"'configuration.{name}' must be a whole number from {least} to {most}.", target=name)
    return value


def _texts(body: dict[str, Any], name: str) -> dict[str, str]:
    values = pick_object(body, name)
    wrong = [key for key, value in values.items() if not key or "=" in key or "\0" in f"{key}{value}"]
    if wrong:
        raise bad_request(f"'{name}' cannot have '{wrong[0]}'.", target=name)
    return {key: "" if value is None else str(value) for key, value in values.items()}


def _collected(configuration: dict[str, Any]) -> tuple[str, ...]:
    history = pick_object(configuration, "history")
    outputs = ["outputs"] if pick(history, "outputCollection", default=True) else []
    watched = pick(history, "directoriesToWatch", default=[])
    if not isinstance(watched, list) or not all(isinstance(name, str) for name in watched):
        raise bad_request("'history.directoriesToWatch' must be a list of strings.", target="directoriesToWatch")
    return tuple(dict.fromkeys([*outputs, "logs", *watched]))
