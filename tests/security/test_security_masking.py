"""Tokens, keys and signatures are masked the moment they are seen, by Airflow's own masker in a worker's log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from security_servers import TOKEN, Answer

SIGNATURE, KEY, LEAK = "c2lnbmF0dXJl%2Fx%3D", "a2V5LW9mLXRoZS1lbmRwb2ludA", "sig-in-an-error-9876"
SECRETS = [TOKEN, SIGNATURE, "c2lnbmF0dXJl/x=", KEY, LEAK]
TESTS = Path(__file__).parents[1]


@pytest.fixture
def tasks(azure, tmp_path):
    """Run the tasks; return what was stored of them, and their log."""
    blob = f"{azure.url}/blob?sv=1&sig={SIGNATURE}"
    azure.answers["GET", "/blob"] = Answer(b"content")
    run = {"runId": "r1", "status": "Completed", "dataContainerId": "d"}
    azure.route("/runs/r1", run, service="history/v1.0")
    azure.route("/runs/r1/details", {"logFiles": {"user_logs/std_log.txt": blob}}, service="history/v1.0")
    azure.route("/artifacts/ExperimentRun/d", {"value": [{"path": "outputs/x"}]}, service="artifact/v2.0")
    azure.route("/artifacts/ExperimentRun/d/contentinfo", {"contentUri": blob}, service="artifact/v2.0")
    broken = {"error": {"code": "Bad", "message": f"cannot read https://sa/c?sig={LEAK} with Bearer {TOKEN}"}}
    azure.route("/computes/broken", broken, status=400)
    for name, scoring in (("shop", f"{azure.url}/score"), ("broken", f"{azure.url}/broken")):
        azure.route(f"/onlineEndpoints/{name}", {"name": name, "properties": {"scoringUri": scoring}})
        azure.route(f"/onlineEndpoints/{name}/listKeys", {"primaryKey": KEY}, method="POST")
    azure.answers["POST", "/score"] = Answer({"answer": 42})
    azure.answers["POST", "/broken"] = Answer(f"no access with {blob}".encode(), status=400)
    extra = {
        "cloud": "Custom", "authority_url": azure.url, "resource_manager_url": azure.url, "token": TOKEN,
        "subscription_id": "s", "resource_group": "g", "workspace_name": "w",
    }  # fmt: skip
    connection = json.dumps({"conn_type": "azureml", "extra": extra})
    environment = {**os.environ, "AIRFLOW_CONN_AZUREML_DEFAULT": connection, "PYTHONPATH": str(TESTS)}
    log, script = tmp_path / "log", TESTS / "security" / "security_tasks.py"
    command = [sys.executable, str(script), str(log), f"note of {TOKEN}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), log.read_text()


def test_no_secret_is_told(tasks):
    """Neither log nor XCom, rendered field or exception of a task holds a secret, however carelessly it was handled."""
    stored, log = tasks
    assert stored["states"] == {
        "careless": "failed", "again": "failed", "download": "success", "score": "success", "fails": "failed",
    }  # fmt: skip
    for secret in SECRETS:
        assert secret not in log
        assert secret not in json.dumps(stored)
    for line in ("all I know", "in parts", "heard of", "because of", "cannot read", "no access with"):
        assert any("***" in row for row in log.splitlines() if line in row), line
    assert stored["rendered"]["again"]["note"] == "note of ***"
    assert stored["xcoms"]["score"]["return_value"]["answer"] == {"answer": 42}
