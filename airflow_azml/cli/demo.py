"""`airflow-azml demo` and `airflow-azml up`: Airflow and the emulator together on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of both commands."""
    command.add_argument("--state", type=Path, default=Path(".demo"), help="folder of all state (%(default)s)")
    command.add_argument("--dags", type=Path, help="folder of the DAGs (the examples that airflow-azml brings)")


def run(options: argparse.Namespace, *, stay: bool = False) -> int:
    """Run the example DAG on a real Airflow and the emulator."""
    from airflow_azml.demo.demo import run  # noqa: PLC0415 - rich, httpx
    from airflow_azml.demo.examples import example_dags  # noqa: PLC0415 - as above

    return run(options.state, options.dags or example_dags(), stay=stay)


def run_and_stay(options: argparse.Namespace) -> int:
    """Leave Airflow and the emulator running afterwards."""
    return run(options, stay=True)
