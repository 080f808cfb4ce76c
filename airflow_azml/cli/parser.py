"""The commands of `airflow-azml`, what they are for, and the program's entry point."""

from __future__ import annotations

import argparse
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from airflow_azml import __version__
from airflow_azml.cli import arguments as declare
from airflow_azml.emulator import __main__ as emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it
    Declare = Callable[[argparse.ArgumentParser], None]


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    options = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = getattr(import_module(options.module), options.function)
    return run(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="airflow-azml", description="Azure Machine Learning for Apache Airflow.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = partial(_add, commands)
    add("emulator", "start Azure ML on this machine", emulator.add_arguments, emulator.__name__)
    add("demo", "run the example DAG on a real Airflow and the emulator", declare.demo, "airflow_azml.cli.demo")
    add(
        "up",
        "start Airflow and the emulator, and leave them running",
        declare.demo,
        "airflow_azml.cli.demo",
        "run_and_stay",
    )
    add("doctor", "check an Airflow connection, hop by hop", declare.doctor, "airflow_azml.cli.doctor")
    add("ls", "list what a connection's workspace holds", declare.ls, "airflow_azml.cli.ls")
    add("files", "show which files of a folder are uploaded", declare.files, "airflow_azml.cli.files")
    return top


def _add(commands: Commands, name: str, what: str, declared: Declare, module: str, function: str = "run") -> None:
    """Add a command.

    :param module: where its function is; it is imported when the command is run.
    """
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    declared(command)
    command.set_defaults(module=module, function=function)
