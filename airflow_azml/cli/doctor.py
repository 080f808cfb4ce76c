"""`airflow-azml doctor`: check an Airflow connection, hop by hop."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_azml.cli.connection import hook

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Walk the hops and print each; 1 when one is closed."""
    failed = False
    for step in hook(options.conn_id).diagnose():
        failed = failed or not step.ok
        if options.json:
            print(json.dumps(asdict(step)))
        else:
            print(f"{'ok    ' if step.ok else 'FAILED'}  {step.name}: {step.text}", flush=True)
            if step.remedy:
                print(f"        {step.remedy}")
    return int(failed)
