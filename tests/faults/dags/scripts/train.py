"""A training in a few seconds: prints, logs a metric, writes a model; fails when it is told to."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

SECONDS = 3


def log_metric(key: str, value: float) -> None:
    """Log a metric as MLflow does, without MLflow, which takes longer to load than this takes."""
    body = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": key, "value": value, "timestamp": int(time.time() * 1000)}
    request = urllib.request.Request(  # noqa: S310 - the emulator's address
        f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/runs/log-metric",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"},
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - likewise


for second in range(SECONDS):
    print(f"epoch {second}", flush=True)
    time.sleep(1)
log_metric("accuracy", 0.5)
if "--fail" in sys.argv:
    sys.exit("this training always fails")
model = Path("outputs/model")
model.mkdir(parents=True)
(model / "model.txt").write_text("a model")
