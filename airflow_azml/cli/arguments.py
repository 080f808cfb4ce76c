"""The arguments of the commands. What the commands themselves import is loaded only for the one that is run."""

from __future__ import annotations

import argparse
from pathlib import Path

KINDS = ("runs", "models", "computes", "endpoints")


def demo(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `demo` and `up`."""
    command.add_argument("--state", type=Path, default=Path(".demo"), help="folder of all state (%(default)s)")
    command.add_argument("--dags", type=Path, help="folder of the DAGs (the examples that airflow-azml brings)")


def doctor(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `doctor`."""
    _add_conn_id(command)
    command.add_argument("--json", action="store_true", help="one JSON object per step")


def files(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `files`."""
    command.add_argument("folder", metavar="FOLDER")
    command.add_argument("--why", action="store_true", help="also show the excluded files, each with its rule")
    command.add_argument(
        "--deployment", action="store_true", help="as the code of a deployment: its outputs/ and logs/ are uploaded too"
    )


def ls(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ls`."""
    command.add_argument("kind", choices=KINDS)
    _add_conn_id(command)
    command.add_argument("--limit", type=_rows, default=20, help="rows at most (%(default)s)")
    command.add_argument("--experiment", help="runs: of this experiment")
    command.add_argument("--status", action="append", default=[], help="runs: with this status; may be repeated")
    command.add_argument("--name", help="models: of this name")
    command.add_argument("--json", action="store_true", help="one JSON object per row")


def _add_conn_id(command: argparse.ArgumentParser) -> None:
    command.add_argument("conn_id", metavar="CONN_ID", nargs="?", default="azureml_default")


def _rows(text: str) -> int:
    """Read a number of rows."""
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number above 0, not '{text}'")
