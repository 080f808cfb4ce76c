"""What every run of the system tests does: tell its processes, wait at the gate, end with the code found there."""

import os
import pathlib
import subprocess
import sys
import time

gate = pathlib.Path(sys.argv[1])
child = subprocess.Popen(["sleep", "600"])
gate.with_name(f"{os.environ['AZUREML_RUN_ID']}.pids").write_text(f"{os.getpid()} {child.pid}")
print("waiting at the gate", flush=True)  # noqa: T201 - it is the log of the run
while not gate.exists():
    time.sleep(0.2)
child.kill()
sys.exit(int(gate.read_text() or 0))
