"""`airflow-azml files`: show which files of a folder are uploaded, and why others are not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `files`."""
    command.add_argument("folder", metavar="FOLDER")
    command.add_argument("--why", action="store_true", help="also show the excluded files, each with its rule")
    command.add_argument(
        "--deployment", action="store_true", help="as the code of a deployment: its outputs/ and logs/ are uploaded too"
    )


def run(options: argparse.Namespace) -> int:
    """Print a line for each file; the summary goes to stderr."""
    from airflow_azml.client.files.project import COLLECTED, check_limits, select  # noqa: PLC0415 - only when needed
    from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - likewise

    try:
        found = select(options.folder, collected=() if options.deployment else COLLECTED)
        for file in found.files:
            print(f"{file.size:>13,}  {file.name}")
        for entry in found.excluded if options.why else ():
            print(f"{'-':>13}  {entry.name}  ({entry.why})")
        print(f"{len(found.files):,} files, {found.size:,} bytes", file=sys.stderr)
        check_limits(options.folder, found)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
