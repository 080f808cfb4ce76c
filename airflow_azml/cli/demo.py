"""`airflow-azml demo` and `airflow-azml up`: Airflow and the emulator together on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_azml.demo import demo
from airflow_azml.demo.examples import example_dags

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace, *, stay: bool = False) -> int:
    """Run the example DAG on a real Airflow and the emulator."""
    return demo.run(options.state, options.dags or example_dags(), stay=stay)


def run_and_stay(options: argparse.Namespace) -> int:
    """Leave Airflow and the emulator running afterwards."""
    return run(options, stay=True)
