"""`airflow-azml files`: show which files of a folder are uploaded, and why others are not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_azml.client.files.project import COLLECTED, check_limits, select
from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Print a line for each file; the summary goes to stderr."""
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
