"""A run of a project folder: its definition and folder are checked, then it is started or adopted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.names import check_compute_name
from airflow_azml.client.specs.arguments import with_arguments
from airflow_azml.client.specs.run_definition import collected_folders, run_definition
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import mapping
from airflow_azml.runtime import submit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task

GRACE = 300  # seconds that the service allows a run beyond its limit: the waiting task cancels it before
FIELD = "run_definition"


def start(
    task: Task,
    experiment: str,
    folder: str,
    definition: Mapping[str, Any] | str | None,
    *,
    run_timeout: float | None,
    max_files: int,
    max_bytes: int,
    tags: Mapping[str, Any] | None,
    display_name: str | None,
    **arguments: Any,
) -> Target:
    """Adopt the run of this attempt, or start it.

    :param folder: project folder beside the DAG.
    :param definition: what to run, or the path of a file beside the DAG.
    :param arguments: `compute_name`, `command`, `arguments` and `environment_variables` beside the definition.
    """
    folders = [task.beside_dag(place) for place in (folder, ".")]  # where files that it names may be
    if isinstance(definition, str):
        folders.insert(0, task.beside_dag(definition).parent)
    checked = _checked(task, definition, arguments, run_timeout, folders)
    script = checked["configuration"].get("script")
    bundle = Bundle(
        task.beside_dag(folder),
        entry_script=script,
        max_files=max_files,
        max_bytes=max_bytes,
        collected=collected_folders(checked),
    )
    return submit.run(
        task,
        experiment,
        lambda run_id: task.client.runs.start(experiment, bundle, checked, run_id),
        ready=bundle,
        tags=tags,
        display_name=display_name,
    )


def _checked(
    task: Task, given: Any, arguments: Mapping[str, Any], run_timeout: float | None, folders: Sequence[Path]
) -> dict[str, Any]:
    definition = run_definition(_joined(task.definition(given, FIELD), arguments), FIELD, folders)
    configuration: dict[str, Any] = definition["configuration"]
    if configuration.get("target") is None:
        raise InputError("compute_name", rule="is required, here or as the run definition's target")
    check_compute_name(configuration["target"], f"{FIELD}.configuration.target")
    if run_timeout is not None and task.kill.cancels:
        configuration.setdefault("maxRunDurationSeconds", math.ceil(run_timeout) + GRACE)
    return definition


def _joined(given: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition with the arguments in it. Its keys may be spelled in any case."""
    whole = next((key for key in given if str(key).casefold() == "configuration"), None)
    inner = given if whole is None else mapping(f"{FIELD}.{whole}", given[whole])
    spelling = {str(key).casefold(): str(key) for key in inner}
    if arguments["command"] and (script := inner.get(spelling.get("script", ""))):
        raise InputError("command", arguments["command"], f"cannot stand beside {FIELD}.script ({script!r})")
    named = {
        field: (spelling.get(_MEMBERS[field].casefold(), _MEMBERS[field]), value) for field, value in arguments.items()
    }
    joined = with_arguments(inner, named, FIELD)
    return joined if whole is None else {**given, whole: joined}


_MEMBERS = {
    "compute_name": "target",
    "command": "command",
    "arguments": "arguments",
    "environment_variables": "environmentVariables",
}
