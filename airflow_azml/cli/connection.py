"""The Airflow connection that a command is run for."""

from __future__ import annotations

import os

from airflow_azml.hooks.azureml import AzureMLHook


def hook(conn_id: str) -> AzureMLHook:
    """Return the hook of a connection, which may be one of Airflow's metadata database."""
    # `airflow connections test` sets this too: without it, Airflow does not read the metadata database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    return AzureMLHook(conn_id)
