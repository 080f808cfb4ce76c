"""The command line `airflow-azml`. Each command is one module with `run`.

A command's module is imported when it is run: `--help` answers at once, and loads nothing of Airflow.
"""

from airflow_azml.cli.parser import main

__all__ = ["main"]
