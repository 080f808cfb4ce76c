"""Tasks that wait in the triggerer: for runs as ours do, or for nothing. They note when they are resumed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator


class Waits(BaseOperator):
    """A task that `triggerer.py` puts into the triggerer, as its first process would have done."""

    def __init__(self, *, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number

    def execute_complete(self, context: Any, event: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Note the moment at which the user's code goes on."""
        now = time.time()
        (Path(os.environ["BENCHMARK_RESUMED"]) / f"waiting-{self.number}").write_text(f"{now}\n{event}")


for way in ("asleep", "ours"):
    with DAG(way, schedule=None, max_active_tasks=2000):
        Waits.partial(task_id="wait").expand(number=list(range(int(os.environ["BENCHMARK_RUNS"]))))
