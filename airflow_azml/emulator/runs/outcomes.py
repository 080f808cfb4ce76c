"""How a run ends: its terminal status and, unless all went well, the error that the run history shows."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.runs.history import error

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.emulator.kernel.store import Document

READ, QUOTED = 64 << 10, 4000  # bytes of the log that are searched, characters that are quoted
LOST = 137  # what a shell says of a process ended by SIGKILL


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    :param status: Completed, Failed or Canceled.
    :param members: of the Run, set together with the status.
    """

    status: str
    members: dict[str, Any] = field(default_factory=dict)


def failed(code: str, message: str) -> Outcome:
    """The run failed."""
    return Outcome("Failed", {"error": error(code, message)})


def canceled(reason: str = "") -> Outcome:
    """Somebody cancelled the run."""
    return Outcome("Canceled", {"cancelationReason": reason} if reason else {})


def asked(run: Document) -> Outcome | None:
    """Return how the run is to end, when somebody has asked for its end."""
    if run["status"] != "CancelRequested":
        return None
    ending = run["work"].get("ending")
    return Outcome(**ending) if ending else canceled()


def too_long(seconds: int) -> Outcome:
    """The run exceeded `maxRunDurationSeconds`: the service cancels it."""
    message = f"The run was canceled because it exceeded its maximum duration of {seconds} seconds."
    members = {"error": error("MaxRunDurationExceeded", message), "cancelationReason": message}
    return Outcome("Canceled", members)


def of_process(code: int | None, log_file: Path) -> Outcome:
    """Judge by the exit code (negative: a signal; None: the whole group was killed) and quote the log's end."""
    if code == 0:
        return Outcome("Completed")
    if code is None:
        ending = f"was killed together with its process group (exit code {LOST})"
    elif code < 0:
        ending = f"was ended by {_name(-code)} (exit code {128 - code})"
    else:
        ending = f"exited with status code {code}"
    message = (
        f"Execution failed. User process {ending}. Please check log file 'user_logs/std_log.txt' for error details. "
        f"Error: {_tail(log_file)}"
    )
    return failed("UserTrainingScriptFailed", message)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tail(log_file: Path) -> str:
    """Return the last traceback of the log, or else its end."""
    try:
        with log_file.open("rb") as stream:
            stream.seek(max(0, log_file.stat().st_size - READ))
            text = stream.read(READ).decode(errors="replace")
    except FileNotFoundError:
        return ""
    start = text.rfind("Traceback (most recent call last)")
    return text[max(start, 0) :].strip()[-QUOTED:]
