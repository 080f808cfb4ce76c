"""The first process of a run: starts the user's command, writes down how it ended, and ends what it left running.

Standard library only: `python wrapper.py CLAIM_FILE EXIT_FILE COMMAND...`. It outlives a killed emulator: the claim
file tells the next one who it is, the exit file how it ended. A claim can be made only once, so that no restart ever
starts a run's command twice. Linux gives it the orphans among its descendants, so that no daemon outlives the run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PROC = "/proc"
LINUX = Path(PROC, "self", "stat").exists()
PR_SET_CHILD_SUBREAPER = 36  # of <linux/prctl.h>
PATIENCE, BEAT = 10.0, 0.01  # seconds until killed processes must be gone, and between two looks at them


def main(claim_file: Path, exit_file: Path, command: list[str]) -> None:
    """Run the command to its end, if the claim is still free."""
    # A handler, not SIG_IGN: the command would inherit that. It is for the command to react to SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if not claim(claim_file, f"{os.getpid()} {birth_of(os.getpid())}"):
        return
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    code = _run(command)
    temporary = exit_file.with_suffix(".written")
    temporary.write_text(str(code))
    temporary.replace(exit_file)
    if LINUX:
        _end_descendants()
    os.killpg(0, signal.SIGKILL)


def _run(command: list[str]) -> int:
    try:
        process = subprocess.Popen(command)  # noqa: S603 - the user's own command
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - it is the run's log
        return 127
    while True:  # orphans that end are collected here, as process 1 of a machine does
        pid, status = os.wait()
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode


def _end_descendants() -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        kill(descendants_of({os.getpid()}))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # nobody is left
            return
        time.sleep(BEAT)


def kill(pids: set[int]) -> None:
    """Send SIGKILL to processes, some of which may be gone."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def descendants_of(pids: set[int]) -> set[int]:
    """Return the running processes that these processes started, directly or not (Linux only)."""
    parents = {pid: _parent_of(pid) for pid in running()} if pids else {}
    found: set[int] = set()
    while pids:
        pids = {pid for pid, parent in parents.items() if parent in pids} - found
        found |= pids
    return found


def running() -> list[int]:
    """Return the numbers of all processes (Linux only)."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]  # noqa: PTH208 - there are many: no Path for each


def _parent_of(pid: int) -> int:
    fields = _status(pid)
    return int(fields[1]) if fields else 0


def _status(pid: int) -> list[str]:
    """Return what the kernel tells of a process from its state on; nothing when it has ended."""
    try:
        with open(f"{PROC}/{pid}/stat", errors="replace") as file:  # noqa: PTH123 - likewise
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields


def claim(file: Path, text: str) -> bool:
    """Write the file in one step unless it exists; tell whether it was written."""
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(text)
    try:
        file.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def birth_of(pid: int) -> str:
    """Return when the process was born, in the system's own notation; empty when it does not run (any more)."""
    if LINUX:
        fields = _status(pid)
        return fields[19] if fields else ""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603 - constant
    return "" if not words or words[0].startswith("Z") else " ".join(words[1:])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
