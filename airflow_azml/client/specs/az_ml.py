"""Files that were written for `az ml`, recognised where something else is expected.

They look much like a run definition or a resource's JSON, and the service only says that a member is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

# By the file's `$schema`: the beginning of its name, what the file is, and the command that takes it.
_SCHEMAS = (
    ("commandjob", "a command job", "job create"),
    ("pipelinejob", "a pipeline job", "job create"),
    ("sweepjob", "a sweep job", "job create"),
    ("sparkjob", "a spark job", "job create"),
    ("automl", "an AutoML job", "job create"),
    ("managedonlineendpoint", "an online endpoint", "online-endpoint create"),
    ("kubernetesonlineendpoint", "an online endpoint", "online-endpoint create"),
    ("managedonlinedeployment", "an online deployment", "online-deployment create"),
    ("kubernetesonlinedeployment", "an online deployment", "online-deployment create"),
    ("batchendpoint", "a batch endpoint", "batch-endpoint create"),
    ("batchdeployment", "a batch deployment", "batch-deployment create"),
    ("modelbatchdeployment", "a batch deployment", "batch-deployment create"),
    ("pipelinecomponentbatchdeployment", "a batch deployment", "batch-deployment create"),
    ("amlcompute", "a compute cluster", "compute create"),
    ("computeinstance", "a compute instance", "compute create"),
    ("commandcomponent", "a component", "component create"),
    ("pipelinecomponent", "a component", "component create"),
    ("environment", "an environment", "environment create"),
    ("model", "a model", "model create"),
    ("data", "a data asset", "data create"),
    ("schedule", "a schedule", "schedule create"),
    ("workspace", "a workspace", "workspace create"),
)
# Without a `$schema`: members that only such a file has.
_MEMBERS = (
    ({"jobs"}, "pipelinejob"),
    ({"trial", "search_space"}, "sweepjob"),
    ({"type", "command", "environment"}, "commandjob"),
    ({"command", "code"}, "commandjob"),
    ({"experiment_name"}, "commandjob"),
    ({"code_configuration"}, "managedonlinedeployment"),
    ({"endpoint_name", "model"}, "managedonlinedeployment"),
    ({"auth_mode"}, "managedonlineendpoint"),
    ({"size", "max_instances"}, "amlcompute"),
    ({"idle_time_before_scale_down"}, "amlcompute"),
)


def refuse(given: Mapping[str, Any], field: str, wanted: str) -> None:
    """Raise InputError for a file of `az ml`.

    :param field: what the caller calls it.
    :param wanted: what is expected instead.
    """
    if found := _kind_of(given):
        what, command = found
        raise InputError(
            field, rule=f"this is {what} of Azure ML v2, which `az ml {command}` takes; needed is {wanted}"
        )


def _kind_of(given: Mapping[str, Any]) -> tuple[str, str] | None:
    schema = str(given.get("$schema") or "").rpartition("/")[2].casefold()
    name = schema or next((name for members, name in _MEMBERS if members <= given.keys()), "")
    return next(((what, command) for start, what, command in _SCHEMAS if name.startswith(start)), None)
