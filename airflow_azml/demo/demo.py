"""`airflow-azml demo` and `airflow-azml up`: run the example DAG on a real Airflow and an Azure ML on this machine."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from rich.console import Console
from rich.markup import escape

from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.demo import report
from airflow_azml.demo.airflow_api import AirflowApiError
from airflow_azml.demo.airflow_settings import PASSWORD, USERNAME, base_environment
from airflow_azml.demo.display import display, duration
from airflow_azml.demo.examples import EXAMPLE, has_example
from airflow_azml.demo.follow import DagRun, follow
from airflow_azml.demo.processes import ServiceError, is_free
from airflow_azml.demo.services import Services
from airflow_azml.hooks.connection import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.client.azureml import AzureMLClient

DAG_WAIT = 120.0  # seconds for Airflow to parse it
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C has ended
UI_PORT = 8080  # Airflow's own default


class Demo:
    """One demonstration, from starting everything to stopping it.

    :param console: where to tell about it.
    :param services: the emulator and Airflow.
    :param stay: leave them running after the DAG has ended; a folder without the example is then welcome.
    """

    def __init__(self, console: Console, services: Services, *, stay: bool = False) -> None:
        self._console = console
        self._services = services
        self._stay = stay
        self._started = time.monotonic()

    def run(self) -> int:
        """Show it; return the exit code."""
        self._say("Starting the emulator and Airflow ...")
        with self._services:
            self._say(f"Both are up after {self._elapsed()}.")
            self._say_addresses()
            code = self._show() if has_example(self._services.dags) else 0
            if self._stay:
                self._wait_for_interrupt()
        self._say("Stopped.")
        return code

    def _show(self) -> int:
        run = self._trigger()
        with display(self._console) as show:
            state = follow(run, show, self._services.check)
        self._say("")
        if state != "success":
            self._say_failures(run)
            return 1
        return self._say_results(run)

    def _trigger(self) -> DagRun:
        airflow = self._services.airflow
        deadline = time.monotonic() + DAG_WAIT
        while not airflow.knows(EXAMPLE):
            self._services.check()
            if time.monotonic() > deadline:
                what = f"no DAG {EXAMPLE} in {self._services.dags} within {DAG_WAIT:.0f} s"
                raise ServiceError(f"Airflow has found {what}. All logs are in {self._services.state}.")
            time.sleep(0.5)
        # Today's run of the daily schedule: the scheduler then sees it done and starts no second one behind ours.
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        run = DagRun(airflow, EXAMPLE, airflow.trigger(EXAMPLE, logical_date=today))
        self._say(f"DAG run {run.run_id} of {EXAMPLE}")
        return run

    def _say_results(self, run: DagRun) -> int:
        left = report.left_over(self._client())
        seen = "the emulator has no compute and no endpoint left" if not left else f"STILL THERE: {', '.join(left)}"
        cleaned = ("Cleaned up", f"{report.cleaned_up(run)}; {seen}")
        for label, text in [*report.produced(run), cleaned, ("Wall time", self._elapsed())]:
            self._console.print(f"[bold]{label:<11}[/bold]{escape(text)}", highlight=False, soft_wrap=True)
        return 1 if left else 0

    def _say_failures(self, run: DagRun) -> None:
        for failure in report.failures(run):
            head = f"[bold red]{failure.task_id} failed:[/] {escape(failure.error)}"
            self._console.print(head, highlight=False, soft_wrap=True)
            self._say("The end of its log:")
            for line in failure.lines:
                self._say(f"  {line}")
        left = report.left_over(self._client())
        self._say(f"Left on the emulator: {', '.join(left) or 'no compute, no endpoint'}")
        self._say(f"The DAG run failed after {self._elapsed()}. All logs are in {self._services.state}.")

    def _say_addresses(self) -> None:
        url = self._services.airflow.url
        self._say(f"Airflow: {url}  (user {USERNAME}, password {PASSWORD})")
        self._say(f"Azure ML: {self._services.emulator_url}, {self._services.emulator_tls_url}")
        self._say(f"DAGs: {self._services.dags}")

    def _wait_for_interrupt(self) -> None:
        self._say("")
        self._say_addresses()
        self._say("Airflow's connection azureml_default leads to this Azure ML. In another terminal:")
        self._say(f"export {self._services.connection_line}")
        self._say("Press Ctrl-C to stop them.")
        with suppress(KeyboardInterrupt):
            while True:
                self._services.check()
                time.sleep(1)

    def _client(self) -> AzureMLClient:
        connection = json.loads(self._services.connection)
        settings = Settings.read("demo", connection["login"], connection["password"], connection["extra"])
        return settings.client(on_secret=lambda _secret: None)

    def _elapsed(self) -> str:
        return duration(time.monotonic() - self._started)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def run(state: Path, dags: Path, *, stay: bool = False) -> int:
    """Show the demo; return the exit code.

    :param state: folder for everything that is written.
    :param dags: folder of the DAGs.
    :param stay: leave Airflow and the emulator running until Ctrl-C.
    """
    _treat_as_interrupt(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    os.environ.update(base_environment())  # no proxy before this machine for our own client either
    console = Console()
    try:
        _check_dags(dags, any_dags=stay)
        services = Services(
            state,
            dags,
            ui_port=UI_PORT if stay and is_free(UI_PORT) else 0,
            on_stop=lambda: console.print("Stopping everything ...", highlight=False),
        )
        return Demo(console, services, stay=stay).run()
    except KeyboardInterrupt:
        console.print("Interrupted; everything has been stopped.")
        return INTERRUPTED
    except (ServiceError, AirflowApiError, AzureMLError, httpx.HTTPError) as error:
        console.print(f"[bold red]{type(error).__name__}:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1


def _check_dags(dags: Path, *, any_dags: bool) -> None:
    """Raise ServiceError when there is no folder, or no example in it and only that would be run."""
    if not dags.is_dir():
        raise ServiceError(f"{dags.resolve()} is no folder; name the folder of the DAGs with --dags.")
    if not any_dags and not has_example(dags):
        what = f"has no {EXAMPLE}.py, the DAG that the demo runs"
        raise ServiceError(f"{dags.resolve()} {what}; for DAGs of your own, use `airflow-azml up --dags`.")


def _treat_as_interrupt(*numbers: signal.Signals) -> None:
    """Stop cleanly however we are asked to: Ctrl-C, `kill`, a closed terminal.

    It is set even for a SIGINT that a shell has told its background jobs to ignore, because the programs that we start
    would inherit that and not hear us. A hang-up that is ignored (nohup) stays ignored.
    """
    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
