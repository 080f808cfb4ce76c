"""Runs in Azure ML. What it prints is shown in the task's log; what it writes to outputs/ is kept with the run."""

import argparse
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=5)
rounds = parser.parse_args().rounds

loss = 1.0
for number in range(1, rounds + 1):
    time.sleep(1)
    loss /= 2
    print(f"round {number} of {rounds}: loss {loss:.4f}", flush=True)

Path("outputs").mkdir(exist_ok=True)
Path("outputs/model.txt").write_text(f"loss {loss}\n")
