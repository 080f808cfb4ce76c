"""The object that a declaration gets while its task runs: client, identity of the task, files beside the DAG, link.

An operator or sensor declares `submit(task)`, `act(task)` or `target(task)`, and everything it needs is on this object.
So operators import nothing of the client, and parsing a DAG pays for none of it.
"""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk.definitions._internal.templater import SandboxedEnvironment
from jinja2 import TemplateError

from airflow_azml.client.lifecycle import Goal, Target
from airflow_azml.client.names import RULES, check
from airflow_azml.client.specs import environment
from airflow_azml.client.specs.loading import load
from airflow_azml.client.transport.errors import InputError
from airflow_azml.hooks.azureml import AzureMLHook
from airflow_azml.links.azureml import AzureMLStudioLink
from airflow_azml.runtime import download, models, runs, scoring
from airflow_azml.runtime.identity import Identity
from airflow_azml.runtime.kill import Kill
from airflow_azml.triggers import cancelling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Observation
    from airflow_azml.client.resources.model_version import Model
    from airflow_azml.client.specs.environment import EnvironmentSpec
    from airflow_azml.runtime.sense import Sensing


class Task:
    """One process of a task at work.

    :param operator: the operator or sensor, with its templates rendered.
    :param context: of the task, from Airflow.
    """

    def __init__(self, operator: Any, context: Context) -> None:
        self.operator = operator
        self.context = context
        self.log = operator.log
        self.kill = Kill(self, cancels=getattr(operator, "cancel_on_kill", False))
        self.sensing: Sensing | None = None

    @cached_property
    def hook(self) -> AzureMLHook:
        """The hook of the task's connection."""
        return AzureMLHook(self.operator.azureml_conn_id)

    @property
    def client(self) -> AzureMLClient:
        """The client of the task's connection."""
        return self.hook.client

    @cached_property
    def identity(self) -> Identity:
        """Who this task is. What it creates from now on is cancelled only if its tags agree with that."""
        return Identity.of(self.context, self.hook.namespace)

    @property
    def deferrable(self) -> bool:
        """Whether to wait in the triggerer; the operator decides, else Airflow's configuration."""
        wanted = self.operator.deferrable
        return bool(conf.getboolean("operators", "default_deferrable", fallback=False)) if wanted is None else wanted

    @property
    def execution_limit(self) -> float | None:
        """Seconds of Airflow's `execution_timeout`: Airflow does not watch over it while a task is deferred."""
        span = self.operator.execution_timeout
        return span.total_seconds() if span else None

    def reconnect(self) -> None:
        """Read the connection again: a secret may have been replaced since."""
        vars(self).pop("hook", None)

    def check_names(self) -> None:
        """Raise InputError for a name that cannot be one. None may stand where the parameter's default is None."""
        optional = _optional(type(self.operator))
        for field in filter(RULES.__contains__, self.operator.template_fields):
            value = getattr(self.operator, field)
            if value is not None or field not in optional:
                setattr(self.operator, field, check(field, value))

    # --- what is worked on ---

    def target(self, kind: str, name: str, parent: str = "", goal: str = "succeeded") -> Target:
        """Name something to wait for.

        :param kind: name of the client's attribute, such as `runs`.
        :param parent: the experiment of a run, the endpoint of a deployment, the version of a model.
        :param goal: `succeeded`; `present` for somebody who only watches; `stopped`; `gone`.
        """
        return Target(kind, name, parent, Goal(goal))

    def look(self, target: Target) -> Observation:
        """Return how the target is now."""
        return self.client.look(target)

    def cancel(self, target: Target, *, why: str = "its task has ended", may_appear: float = 0.0) -> Observation:
        """Cancel a run, unless its tags say that it is another task's."""
        identity = vars(self).get("identity")
        how = {"may_appear": may_appear, "check": identity and identity.check_run}
        return cancelling.cancel(self.client, target, why, self.log, **how)

    def start_run(self, experiment: str, folder: str, definition: Any, **more: Any) -> Target:
        """Adopt the run of this attempt, or start it; see :func:`airflow_azml.runtime.runs.start`."""
        return runs.start(self, experiment, folder, definition, **more)

    def register_model(self, **what: Any) -> dict[str, Any]:
        """Register a model version and describe it; see :func:`airflow_azml.runtime.models.register`."""
        return {**self.model_result(models.register(self, **what)), "run_id": what["run_id"]}

    def model_reference(self, name: str | None, version: str | None) -> str | None:
        """Return `name:version`; see :func:`airflow_azml.runtime.models.reference`."""
        return models.reference(self, name, version)

    def model_result(self, model: Model) -> dict[str, Any]:
        """Return what is worth knowing about a model version, with the link to its page."""
        url = self.publish_page("models", model.name, model.version)
        return {**self.client.models.described(model), "studio_url": url}

    def score(self, endpoint: str, data: Any, **how: Any) -> Any:
        """Send a request to a model; see :func:`airflow_azml.runtime.scoring.score`."""
        return scoring.score(self.client, endpoint, data, **how)

    def download(self, run_id: str, destination: str, **what: Any) -> dict[str, Any]:
        """Download files of a run; see :func:`airflow_azml.runtime.download.download`."""
        files = download.download(self.client, run_id, destination, **what)
        self.log.info("%d files of run %s are in %s", len(files), run_id, destination)
        url = self.publish_page("runs", run_id)
        return {"run_id": run_id, "destination": destination, "files": files, "studio_url": url}

    # --- the link to studio ---

    def publish(self, target: Target) -> str:
        """Show the link to the target in Airflow's UI, and return it."""
        return self._show(self.client.studio_url(target))

    def publish_page(self, kind: str, name: str, parent: str = "") -> str:
        """Show the link to a resource's page in Airflow's UI, and return it."""
        return self.publish(self.target(kind, name, parent))

    def _show(self, url: str) -> str:
        try:
            AzureMLStudioLink.publish(self.context, url)
        except Exception as error:  # noqa: BLE001 - a link is a convenience, whatever Airflow answers
            self.log.warning("the link to studio could not be shown: %s", error)
        return url

    # --- values ---

    def beside_dag(self, path: str) -> Path:
        """Return a path as a DAG file means it: relative to the folder of that file."""
        dag = self.context.get("dag")
        folder = Path(dag.fileloc).parent if dag and dag.fileloc else Path()
        return folder / Path(path).expanduser()

    def definition(self, value: Mapping[str, Any] | str | None, field: str = "spec") -> dict[str, Any]:
        """Return the content of a field that may be a dict or a file beside the DAG, whose templates are rendered.

        `template_ext` is not used: Airflow would take every string in the dict that ends in `.yml` for a template file.
        """
        if not isinstance(value, str):
            return load(value or {}, field)
        path = self.beside_dag(value)
        return load(path, field, lambda text: self._rendered(text, field, path))

    def environment(self, value: object, name: str) -> EnvironmentSpec | None:
        """Return an environment with the content of its conda file, which may be a file beside the DAG.

        :param name: of a described environment that has no name.
        """
        if value is None:
            return None
        return environment.read(value, "environment", name=name, load=self.definition)

    def _rendered(self, text: str, field: str, path: Path) -> str:
        """Return a file's text with its templates rendered.

        A DAG with `render_template_as_native_obj=True` would make a Python object of the text, so that is not used.
        """
        dag = self.context.get("dag")
        env = dag.get_template_env(force_sandboxed=True) if dag else SandboxedEnvironment(cache_size=0)
        try:
            return str(self.operator.render_template(text, self.context, env))
        except TemplateError as error:
            reason = " ".join(str(error).split())
            raise InputError(field, str(path), f"does not render: {reason}") from error

    @staticmethod
    def input_error(field: str, value: object = None, rule: str = "") -> InputError:
        """Return the error to raise for a value that is wrong."""
        return InputError(field, value, rule)


def _optional(operator: type) -> set[str]:
    """Name the parameters of an operator, or of its bases, that are None by default."""
    makers = (vars(cls)["__init__"] for cls in operator.__mro__ if "__init__" in vars(cls))
    every = (parameter for make in makers for parameter in inspect.signature(make).parameters.values())
    return {parameter.name for parameter in every if parameter.default is None}
