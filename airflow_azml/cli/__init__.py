"""The command line `airflow-azml`. Each command is one module with `add_arguments` and `run`.

Everything heavy is imported by the command that needs it: `--help` answers at once, and none of it loads Airflow.
"""

from airflow_azml.cli.parser import main

__all__ = ["main"]
