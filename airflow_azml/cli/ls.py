"""`airflow-azml ls`: tables of what a workspace holds, read through an Airflow connection."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from rich.console import Console
from rich.table import Table

from airflow_azml.cli.connection import hook
from airflow_azml.client.filters import run_filter
from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.demo.display import duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from airflow_azml.client.azureml import AzureMLClient

    Row = dict[str, Any]


def run(options: argparse.Namespace) -> int:
    """Print a table of what is in the workspace."""
    try:
        rows = list(_LISTS[options.kind](hook(options.conn_id).client, options))
    except (AirflowNotFoundException, AzureMLError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        for row in rows:
            print(json.dumps(row))
    else:
        _print_table(options.kind, rows)
    return 0


def _runs(client: AzureMLClient, options: argparse.Namespace) -> Iterator[Row]:
    names = [options.experiment] if options.experiment else [found.name for found in client.experiments.list()]
    wanted = run_filter(statuses=options.status)
    found = [(name, run) for name in names for run in client.runs.list(name, filter=wanted, limit=options.limit)]
    for name, run in sorted(found, key=lambda pair: pair[1].created, reverse=True)[: options.limit]:
        yield {
            "run": run.id,
            "experiment": name,
            "status": run.status,
            "compute": run.target,
            "created": run.created,
            "duration": None if run.duration is None else round(run.duration, 1),
            "error": run.error,
        }


def _models(client: AzureMLClient, options: argparse.Namespace) -> Iterator[Row]:
    for model in islice(client.models.list(options.name), options.limit):
        yield {
            "model": model.name,
            "version": model.version,
            "run": model.run_id,
            "created": model.created,
            "tags": dict(model.tags),
        }


def _computes(client: AzureMLClient, options: argparse.Namespace) -> Iterator[Row]:
    for compute in islice(client.computes.list(), options.limit):
        scale = compute.scale_settings
        nodes = f"{compute.current_nodes} of {scale.get('minNodeCount', 0)} to {scale['maxNodeCount']}" if scale else ""
        yield {
            "compute": compute.name,
            "type": compute.compute_type,
            "vm size": compute.vm_size,
            "state": compute.state or compute.allocation_state or compute.provisioning_state,
            "nodes": nodes,
            "error": "; ".join(compute.errors),
        }


def _endpoints(client: AzureMLClient, options: argparse.Namespace) -> Iterator[Row]:
    for endpoint in islice(client.endpoints.list(), options.limit):
        yield {
            "endpoint": endpoint.name,
            "state": endpoint.provisioning_state,
            "auth": endpoint.auth_mode,
            "traffic": dict(endpoint.traffic),
            "scoring URI": endpoint.scoring_uri,
        }


_LISTS: dict[str, Callable[[AzureMLClient, argparse.Namespace], Iterable[Row]]] = {
    "runs": _runs,
    "models": _models,
    "computes": _computes,
    "endpoints": _endpoints,
}


def _print_table(kind: str, rows: list[Row]) -> None:
    if not rows:
        print(f"no {kind}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(_text(name, value) for name, value in row.items()))
    # A pipe has no width: show whole values there.
    Console(width=None if sys.stdout.isatty() else 10_000, markup=False, highlight=False).print(table)


def _text(name: str, value: Any) -> str:
    """Write a value as a person reads it, on one line."""
    if name == "duration":
        return duration(value)
    if name == "created":
        return str(value)[:19].replace("T", " ")  # to the second; the service's times are in UTC
    if isinstance(value, dict):
        return " ".join(f"{key}={part}" for key, part in value.items())
    return " ".join(str(value).split())
