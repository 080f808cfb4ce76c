"""The Airflow connection that a command is run for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from airflow_azml.hooks.azureml import AzureMLHook


def add_conn_id(command: argparse.ArgumentParser) -> None:
    """Declare the argument that names the connection."""
    command.add_argument("conn_id", metavar="CONN_ID", nargs="?", default="azureml_default")


def hook(conn_id: str) -> AzureMLHook:
    """Return the hook of a connection, which may be one of Airflow's metadata database."""
    # `airflow connections test` sets this too: without it, Airflow does not read the metadata database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - loads Airflow

    return AzureMLHook(conn_id)
