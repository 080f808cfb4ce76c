"""A run that goes on talking until the gate opens."""

import itertools
import pathlib
import sys
import time

gate = pathlib.Path(sys.argv[1])
for number in itertools.count():
    print(f"step {number}", flush=True)  # noqa: T201 - it is the log of the run
    if gate.exists():
        break
    time.sleep(0.5)
