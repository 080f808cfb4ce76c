"""`airflow-azml`: the emulator, the demo, and a look through an Airflow connection on the command line.

Everything heavy is imported by the command that needs it: `--help` answers at once, and none of it loads Airflow.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_azml import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it
    Run = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    options = parser().parse_args(arguments)
    run: Run = options.run
    return run(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="airflow-azml", description="Azure Machine Learning for Apache Airflow.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_emulator(commands)
    _add_demo(commands)
    _add_connection(commands)
    return top


def _add_emulator(commands: Commands) -> None:
    from airflow_azml.emulator import __main__ as emulator  # noqa: PLC0415 - a program that only this one starts

    emulator.add_arguments(_command(commands, "emulator", "start Azure ML on this machine", emulator.run))


def _add_demo(commands: Commands) -> None:
    demo = _command(commands, "demo", "run the example DAG on a real Airflow and the emulator", _demo)
    up = _command(
        commands, "up", "run the example DAG, then leave Airflow and the emulator running", partial(_demo, stay=True)
    )
    for command in (demo, up):
        command.add_argument("--state", type=Path, default=Path(".demo"), help="folder of all state (%(default)s)")
        command.add_argument("--dags", type=Path, default=Path("dags"), help="folder of the DAGs (%(default)s)")


def _demo(options: argparse.Namespace, *, stay: bool = False) -> int:
    from airflow_azml.demo.demo import run  # noqa: PLC0415 - rich, httpx

    return run(options.state, options.dags, stay=stay)


def _add_connection(commands: Commands) -> None:
    from airflow_azml import cli_connection  # noqa: PLC0415 - as the emulator's

    cli_connection.add_doctor(
        _command(commands, "doctor", "check an Airflow connection, hop by hop", cli_connection.doctor)
    )
    cli_connection.add_ls(_command(commands, "ls", "list what a connection's workspace holds", cli_connection.ls))


def _command(commands: Commands, name: str, what: str, run: Run) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.set_defaults(run=run)
    return command


if __name__ == "__main__":
    sys.exit(main())
