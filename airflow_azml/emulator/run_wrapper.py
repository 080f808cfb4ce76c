"""The first process of a run: starts the user's command, writes down how it ended, takes the whole group with it.

Standard library only: `python run_wrapper.py CLAIM_FILE EXIT_FILE COMMAND...`. Its process group is the run's. It
outlives a killed emulator: the claim file tells the next one who it is, the exit file how it ended; and a claim can be
made once only, so that no restart ever starts a run's command twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def main(claim_file: Path, exit_file: Path, command: list[str]) -> None:
    """Run the command to its end, if the claim is still free."""
    # A handler, not SIG_IGN: the command would inherit that. It is for the command to react to SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if not claim(claim_file, f"{os.getpid()} {birth_of(os.getpid())}"):
        return
    try:
        code = subprocess.call(command)  # noqa: S603 - the user's own command
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - it is the run's log
        code = 127
    temporary = exit_file.with_suffix(".written")
    temporary.write_text(str(code))
    temporary.replace(exit_file)
    os.killpg(0, signal.SIGKILL)  # whatever the command left running; the run's node would be gone as well


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
    if Path("/proc/self/stat").exists():
        try:
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if state in "ZX" else fields[18]
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603 - constant
    return "" if not words or words[0].startswith("Z") else " ".join(words[1:])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
