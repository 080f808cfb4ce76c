"""Model versions in a task: registered from one of three sources, and found by number or as the newest one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.values import mapping

if TYPE_CHECKING:
    from airflow_azml.client.resources.model_version import Model
    from airflow_azml.runtime.task import Task

LATEST = "latest"
"""Stands for the newest version; which one that is, is looked up when the task runs."""


def register(
    task: Task,
    *,
    run_id: str | None,
    local_path: str | None,
    datastore_path: str | None,
    path: str,
    properties: Any,
    **what: Any,
) -> Model:
    """Register files as a model version, or adopt the version that an earlier try has registered.

    :param path: of the files in the run.
    :param what: see :class:`airflow_azml.client.specs.registration.Registration`.

    Raises InputError unless exactly one of the three sources is given, NotOwnedError for another task's version.
    """
    sources = {"run_id": run_id, "local_path": local_path, "datastore_path": datastore_path}
    given = {name: value for name, value in sources.items() if value is not None}
    if len(given) != 1:
        raise InputError("run_id", sources["run_id"], f"give one of {', '.join(sources)}; {_listed(given)} given")
    own = mapping("properties", properties or {}) | task.identity.tags
    what |= {"key": task.identity.name(), "properties": own}
    models = task.client.models
    if run_id is not None:
        model = models.register(run_id, path=path, **what)
    elif local_path is not None:
        model = models.register_local(task.beside_dag(local_path), **what)
    else:
        model = models.register_stored(str(datastore_path), **what)
    task.identity.check(f"model {model.name}:{model.version}", model.properties)
    return model


def reference(task: Task, name: str | None, version: str | None) -> str | None:
    """Return `name:version` with the number of the newest version for `latest`; None when neither is given.

    Raises InputError when only one of them is given, NotFoundError when the model has no version.
    """
    if name is None and version is None:
        return None
    if name is None:
        raise InputError("model_name", rule=f"is required with model_version {version!r}")
    if version is None:
        raise InputError("model_version", rule=f"is required with model_name {name!r}; 'latest' is the newest version")
    if version == LATEST:
        version = task.client.models.newest(name).version
        task.log.info("model %s: the newest version is %s", name, version)
    return f"{name}:{version}"


def _listed(given: dict[str, Any]) -> str:
    return f"{' and '.join(given)} are" if given else "none is"
