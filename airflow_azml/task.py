"""What operators and sensors share: the client, the identity of a task's attempt, and how a wait ends.

Nothing of the client is imported before a task runs: parsing a DAG must not pay for it.
"""

from __future__ import annotations

import inspect
import math
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from airflow_azml.links.azureml import AzureMLStudioLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Decision, Policy, Target
    from airflow_azml.hooks.azureml import AzureMLHook
    from airflow_azml.ownership import Claim
    from airflow_azml.runtime.identity import Identity
    from airflow_azml.triggers.azureml import AzureMLTrigger


STUDIO_LINKS = (AzureMLStudioLink(),)
UI_COLOR = "#e5f1fb"


class AzureMLTask:
    """Mixin of every operator and sensor of this provider."""

    azureml_conn_id: str
    template_fields: Sequence[str]
    execution_timeout: timedelta | None
    cancel_on_kill: bool = False
    render_template: Callable[..., Any]  # Airflow's operators have it
    log: Any  # likewise
    on_kill: Callable[[], None]  # likewise
    _claim: Claim | None = None
    _identity: Identity | None = None
    _at_work = False
    _ending: Thread | None = None

    @cached_property
    def hook(self) -> AzureMLHook:
        """The hook of the task's connection."""
        from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - not at parse time

        return AzureMLHook(self.azureml_conn_id)

    @property
    def client(self) -> AzureMLClient:
        """The client of the task's connection."""
        return self.hook.client

    def identity(self, context: Context) -> Identity:
        """Return who this task is. What it creates from now on is cancelled only if its tags agree with that."""
        from airflow_azml.runtime.identity import Identity  # noqa: PLC0415 - not at parse time

        self._identity = Identity.of(context, self.hook.namespace)
        return self._identity

    def check_names(self) -> None:
        """Raise InputError for a name that cannot be one. None may stand where the parameter's default is None."""
        from airflow_azml.client.names import RULES, check  # noqa: PLC0415 - not at parse time

        optional = _optional(type(self))
        for field in filter(RULES.__contains__, self.template_fields):
            value = getattr(self, field)
            if value is not None or field not in optional:
                setattr(self, field, check(field, value))

    @property
    def execution_limit(self) -> float | None:
        """Seconds of Airflow's `execution_timeout`: Airflow does not watch over it while a task is deferred."""
        return self.execution_timeout.total_seconds() if self.execution_timeout else None

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

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Do the task's work; its process does not end before a kill has done what it has to do."""
        self._at_work = True
        try:
            with task_errors():
                yield
        except KeyboardInterrupt:  # of somebody who tries a DAG with `airflow dags test`
            self.on_kill()
            raise
        finally:
            self._at_work = False
            if self._ending:
                self._ending.join()

    def end(self, target: Target, may_appear: float = 0.0) -> None:
        """Cancel the run of a task that is being killed, unless another process goes on with both.

        It is done in a thread of its own. Amid its work a task is killed by a signal: what this process was doing goes
        on, and lets go of what it holds, only when the signal's handler has returned. Often that is the line to its
        supervisor, which asking Airflow needs, and masking a new token.
        """
        if self._ending is None:
            self._ending = Thread(target=self.end_here, args=(target, may_appear), name="azureml-on-kill")
            self._ending.start()
        if not self._at_work:
            self._ending.join()

    def end_here(self, target: Target, may_appear: float = 0.0) -> None:
        """Do so in this thread."""
        from airflow_azml.client.targets import cancel  # noqa: PLC0415 - likewise
        from airflow_azml.client.transport.errors import AzureMLError  # noqa: PLC0415 - not at parse time

        if self._claim and self._claim.is_superseded():
            self.cancel_on_kill = False
            self.log.info("%s: it is left to the process that goes on with the task", target)
            return
        try:
            check = self._identity.check_run if self._identity else None
            status = cancel(self.client, target, may_appear=may_appear, check=check).status
        except AzureMLError as error:
            self.log.error("%s: its task has ended, but it could not be cancelled: %s", target, error)  # noqa: TRY400 - it says why
        else:
            self.log.info("%s: its task has ended, so it was cancelled: %s now", target, status)

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

        from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - likewise

        try:
            return str(self.render_template(text, context))
        except TemplateError as error:
            reason = " ".join(str(error).split())
            raise InputError(field, str(path), f"does not render: {reason}") from error

    def trigger(self, target: Target, policy: Policy, started: float, **how: Any) -> AzureMLTrigger:
        """Return the trigger that waits for the target; `how` are its own arguments."""
        from airflow_azml.triggers.azureml import AzureMLTrigger  # noqa: PLC0415 - not at parse time

        return AzureMLTrigger(
            azureml_conn_id=self.azureml_conn_id,
            target=target.as_json(),
            poll_interval=policy.poll_interval,
            timeout=policy.timeout,
            queue_timeout=policy.queue_timeout,
            run_timeout=policy.run_timeout,
            started=started,
            **how,
        )


def _optional(operator: type) -> set[str]:
    """Name the parameters of an operator, or of its bases, that are None by default."""
    makers = (vars(cls)["__init__"] for cls in operator.__mro__ if "__init__" in vars(cls))
    every = (parameter for make in makers for parameter in inspect.signature(make).parameters.values())
    return {parameter.name for parameter in every if parameter.default is None}


def default_deferrable() -> bool:
    """Return what Airflow's configuration says about deferring."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - not at parse time

    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def seconds(field: str, value: float | timedelta) -> float:
    """Read a span of time, or raise ValueError with field, value and remedy, already when the DAG is parsed."""
    read = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(read, bool) or not isinstance(read, int | float) or not 0 < read < math.inf:
        raise ValueError(f"{field} {value!r}: must be seconds above 0, as a number or a timedelta")
    return read


def least(*limits: float | None) -> float | None:
    """Return the smallest of those limits that there are."""
    return min((limit for limit in limits if limit is not None), default=None)


def cancels(on_kill: str) -> bool:
    """Read `on_kill`: tell whether a killed task cancels its run."""
    if on_kill not in {"cancel", "detach"}:
        raise ValueError(f"on_kill {on_kill!r}: must be 'cancel' or 'detach'")
    return on_kill == "cancel"


@contextmanager
def task_errors() -> Iterator[None]:
    """Fail the task at once on an error that no retry can mend; let Airflow retry the others."""
    from airflow.providers.common.compat.sdk import AirflowFailException  # noqa: PLC0415 - not at parse time

    from airflow_azml.client.transport.errors import AzureMLError  # noqa: PLC0415 - not at parse time

    try:
        yield
    except AzureMLError as error:
        if error.permanent:
            raise AirflowFailException(str(error)) from error
        raise


def read_event(event: Mapping[str, Any]) -> tuple[Target, Decision]:
    """Read what the trigger fired; raise the error that it met."""
    from airflow_azml.client.lifecycle import Decision, Target  # noqa: PLC0415 - not at parse time
    from airflow_azml.client.transport.errors import from_event  # noqa: PLC0415 - not at parse time

    if "error" in event:
        raise from_event(event["error"])
    return Target.from_json(event["target"]), Decision.from_json(event["decision"])


def beside_dag(context: Context, path: str) -> Path:
    """Return a path as it is meant in a DAG file: relative to that file's folder."""
    dag = context.get("dag")
    folder = Path(dag.fileloc).parent if dag and dag.fileloc else Path()
    return folder / Path(path).expanduser()
