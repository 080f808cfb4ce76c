"""One DAG with one task for each way of using the operator; what its runs do, the dag run's conf says."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_azml.operators.run import AzureMLStartRunOperator

RUN = {
    "experiment_name": "{{ dag_run.conf['experiment'] }}",
    "source_directory": "train",
    "compute_name": "wide",
    "run_definition": {
        "script": "train.py",
        "arguments": ["{{ dag_run.conf['gate'] }}"],
        "environment": {"python": {"userManagedDependencies": True}},
    },
    "poll_interval": 0.5,
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "retries": {"retries": 2, "retry_delay": timedelta(seconds=1)},
    "detach": {"cancel_on_kill": False},
    "detach_retries": {"cancel_on_kill": False, "retries": 2, "retry_delay": timedelta(seconds=1)},
    "timeout": {"run_timeout": 8},
    "execution_timeout": {"execution_timeout": timedelta(seconds=40)},
}
WAITS = {"sync": {}, "deferred": {"deferrable": True}}

for way, fields in WAYS.items():
    for wait, how in WAITS.items():
        with DAG(f"{way}_{wait}", schedule=None, max_active_runs=100, max_active_tasks=100):
            AzureMLStartRunOperator(task_id="run", **RUN, **fields, **how)

for wait, how in WAITS.items():
    with DAG(f"dagrun_timeout_{wait}", schedule=None, dagrun_timeout=timedelta(seconds=40)):
        AzureMLStartRunOperator(task_id="run", **RUN, **how)

for size, wait in ((3, "sync"), (int(os.environ.get("DEFERRED_TASKS", "12")), "deferred")):
    # Deferred tasks do not count: eight may start at the same time.
    with DAG(f"mapped_{wait}", schedule=None, max_active_tasks=8):
        many = AzureMLStartRunOperator.partial(
            task_id="run", **RUN | {"poll_interval": 2}, **WAITS[wait], retries=2, retry_delay=timedelta(seconds=1)
        )
        many.expand(max_files=[100] * size)
