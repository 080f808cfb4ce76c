"""The short form of `make crashes`: a few kills at commits and at other moments, under the same load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")
KILLS = 10


@pytest.mark.timeout(300)  # it takes half a minute, on a busy machine more
def test_a_killed_emulator_keeps_what_it_acknowledged() -> None:
    """Whenever it is killed: nothing is lost, nothing comes back, nothing stays under way, nothing is left over."""
    tests = CAMPAIGN.parents[1]
    paths = [str(tests), str(tests / "emulator"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(CAMPAIGN), "--kills", str(KILLS)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("acknowledged") > 50
    assert told == {
        "kills": KILLS, "lost": 0, "resurrected": 0, "torn": 0, "stuck": 0, "repeated": 0, "orphans": 0, "litter": 0,
        "failures": 0,
    }  # fmt: skip
