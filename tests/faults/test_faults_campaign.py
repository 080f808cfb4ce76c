"""The short form of `make faults`: a few pipelines of every kind, a bad network, and a kill of every sort."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")
PIPELINES = 6  # one of the kinds fails on purpose


@pytest.mark.system
@pytest.mark.timeout(600)  # it takes two minutes, on a busy machine more
def test_nothing_is_lost_doubled_left_running_or_told() -> None:
    """Whatever is killed, reset, truncated or refused: every pipeline ends as it should, with one run per attempt."""
    command = [sys.executable, str(CAMPAIGN), "--pipelines", str(PIPELINES), "--pause", "8"]
    paths = [str(CAMPAIGN.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, check=False, timeout=560,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    faults, kills = told.pop("faults_injected"), told.pop("kills")
    assert told == {
        "pipelines": PIPELINES, "ended_right": PIPELINES, "lost": 0, "doubled": 0, "left_running": 0,
        "secrets_found": 0,
    }  # fmt: skip
    assert faults > 10
    assert kills >= 3
