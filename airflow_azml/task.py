"""What operators and sensors share: the client, the identity of a task's attempt, and how a wait ends.

Nothing of the client is imported before a task runs: parsing a DAG must not pay for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.links.azureml import AzureMLStudioLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.computes import Compute
    from airflow_azml.client.lifecycle import Decision, Target
    from airflow_azml.triggers.azureml import AzureMLTrigger


STUDIO_LINKS = (AzureMLStudioLink(),)
UI_COLOR = "#e5f1fb"


class AzureMLTask:
    """Mixin of every operator and sensor of this provider."""

    azureml_conn_id: str
    render_template: Callable[..., Any]  # Airflow's operators have it

    @cached_property
    def client(self) -> AzureMLClient:
        """The client of the task's connection."""
        from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - not at parse time

        return AzureMLHook(self.azureml_conn_id).client

    def publish(self, context: Context, target: Target) -> str:
        """Make the link to the target known and return it."""
        from airflow_azml.client.targets import studio_url  # noqa: PLC0415 - not at parse time

        url = studio_url(self.client, target)
        AzureMLStudioLink.publish(context, url)
        return url

    def publish_page(self, context: Context, page: str) -> str:
        """Make the link to a page of studio known and return it."""
        client = self.client
        url = client.workspace.studio_url(page, studio=client.cloud.studio)
        AzureMLStudioLink.publish(context, url)
        return url

    def definition(self, value: dict[str, Any] | str | None, context: Context, field: str = "spec") -> dict[str, Any]:
        """Return what a field holds that may be a dict or a file beside the DAG; templates in the file are rendered.

        `template_ext` is not used: Airflow would take every string in the dict that ends in `.yml` for a template file.
        """
        from airflow_azml.client.definitions import load  # noqa: PLC0415 - not at parse time

        if not isinstance(value, str):
            return load(value or {}, field)
        path = beside_dag(context, value)
        return load(path, field, lambda text: self._rendered(text, context, field, path))

    def _rendered(self, text: str, context: Context, field: str, path: Path) -> str:
        """Return a file's text with its templates rendered."""
        from jinja2 import TemplateError  # noqa: PLC0415 - not at parse time

        from airflow_azml.client.errors import InputError  # noqa: PLC0415 - likewise

        try:
            return str(self.render_template(text, context))
        except TemplateError as error:
            reason = " ".join(str(error).split())
            raise InputError(field, str(path), f"does not render: {reason}") from error

    def trigger(
        self, target: Target, poll_interval: float, timeout: float | None, started: float, *, cancel_on_kill: bool
    ) -> AzureMLTrigger:
        """Return the trigger that waits for the target."""
        from airflow_azml.triggers.azureml import AzureMLTrigger  # noqa: PLC0415 - not at parse time

        return AzureMLTrigger(
            azureml_conn_id=self.azureml_conn_id,
            target=target.as_json(),
            poll_interval=poll_interval,
            timeout=timeout,
            started=started,
            cancel_on_kill=cancel_on_kill,
        )


def default_deferrable() -> bool:
    """Return what Airflow's configuration says about deferring."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - not at parse time

    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


@contextmanager
def task_errors() -> Iterator[None]:
    """Fail the task at once on an error that no retry can mend; let Airflow retry the others."""
    from airflow.providers.common.compat.sdk import AirflowFailException  # noqa: PLC0415 - not at parse time

    from airflow_azml.client.errors import AzureMLError  # noqa: PLC0415 - not at parse time

    try:
        yield
    except AzureMLError as error:
        if error.permanent:
            raise AirflowFailException(str(error)) from error
        raise


def run_facts(client: AzureMLClient, target: Target) -> dict[str, Any]:
    """Return what XCom tells of a run that has ended."""
    run = client.runs.get(target.name, target.parent or None)
    return {
        "run_id": run.id,
        "experiment_name": target.parent or None,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "metrics": client.runs.metrics(run.id),
    }


def compute_facts(compute: Compute) -> dict[str, Any]:
    """Return what XCom tells of a compute."""
    return {
        "compute_name": compute.name,
        "provisioning_state": compute.provisioning_state,
        "state": compute.state or compute.allocation_state,
        "vm_size": compute.vm_size,
        "current_nodes": compute.current_nodes,
        "scale_settings": dict(compute.scale_settings),
    }


def endpoint_facts(client: AzureMLClient, name: str) -> dict[str, Any]:
    """Return what XCom tells of an endpoint."""
    endpoint = client.endpoints.get(name)
    return {
        "endpoint_name": endpoint.name,
        "provisioning_state": endpoint.provisioning_state,
        "scoring_uri": endpoint.scoring_uri,
        "traffic": dict(endpoint.traffic),
    }


def read_event(event: Mapping[str, Any]) -> tuple[Target, Decision]:
    """Read what the trigger fired; raise the error that it met."""
    from airflow_azml.client.errors import AzureMLError  # noqa: PLC0415 - not at parse time
    from airflow_azml.client.lifecycle import Decision, Target  # noqa: PLC0415 - not at parse time

    if "error" in event:
        raise AzureMLError(event["error"], permanent=bool(event["permanent"]))
    return Target.from_json(event["target"]), Decision.from_json(event["decision"])


def identity(context: Context) -> tuple[str, ...]:
    """Return what tells this piece of work from every other: dag, dag run, task, map index, generation.

    The generation changes when a person clears the task, and not when Airflow retries it: clearing sets `max_tries` to
    the tries so far plus the task's retries. (So a change of `retries` in the DAG file looks like a clearing to the
    tries that are under way: do not make one meanwhile.)
    """
    ti = context["ti"]
    generation = (ti.max_tries or 0) - (context["task"].retries or 0)
    return (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index), str(max(generation, 0)))


def task_key(context: Context, *more: str) -> str:
    """Return a readable id of this piece of work, for run ids and marks; `more` tells several of a task apart."""
    from airflow_azml.client.names import deterministic_id  # noqa: PLC0415 - not at parse time

    who = identity(context)
    return deterministic_id((context["ti"].dag_id, context["ti"].task_id), *who, *more)


def beside_dag(context: Context, path: str) -> Path:
    """Return a path as it is meant in a DAG file: relative to that file's folder."""
    dag = context.get("dag")
    folder = Path(dag.fileloc).parent if dag and dag.fileloc else Path()
    return folder / Path(path).expanduser()
