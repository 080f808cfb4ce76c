"""The commands of `airflow-azml`, what they are for, and the program's entry point."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from airflow_azml import __version__
from airflow_azml.cli import demo, doctor, files, ls
from airflow_azml.emulator import __main__ as emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it
    Declare = Callable[[argparse.ArgumentParser], None]
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
    add = partial(_add, commands)
    add("emulator", "start Azure ML on this machine", emulator.add_arguments, emulator.run)
    add("demo", "run the example DAG on a real Airflow and the emulator", demo.add_arguments, demo.run)
    add("up", "start Airflow and the emulator, and leave them running", demo.add_arguments, demo.run_and_stay)
    add("doctor", "check an Airflow connection, hop by hop", doctor.add_arguments, doctor.run)
    add("ls", "list what a connection's workspace holds", ls.add_arguments, ls.run)
    add("files", "show which files of a folder are uploaded", files.add_arguments, files.run)
    return top


def _add(commands: Commands, name: str, what: str, declare: Declare, run: Run) -> None:
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    declare(command)
    command.set_defaults(run=run)
