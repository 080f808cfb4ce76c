"""The logs of runs: their files, their last lines, and the user's own output while it grows.

Following gives whole lines, each of them once, from a position that outlives a process. A log is a blob that is
appended to. Its address is signed, is first known when the run has begun, and expires.
"""

from __future__ import annotations

import codecs
import logging
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_azml.client.resources.run_history import RunHistory
from airflow_azml.client.transport.errors import AzureMLError, NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.client.transport.retries import Retry

log = logging.getLogger(__name__)
PIECE = 65_536  # bytes that are read at once: a log that floods must not hold up others
LIVE: Mapping[str, Any] = MappingProxyType({"retry": "never", "timeout": (5, 30)})  # other logs wait meanwhile
EMPTY: Mapping[str, Any] = MappingProxyType({})
USER_LOGS = "user_logs/"
# Where the user's own output goes: the common runtime, then the older one, then pipelines and sweeps.
_STREAM_LOGS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{USER_LOGS}std_log[\D]*[0]*(?:_ps)?\.txt",
        r"azureml-logs/[\d]{2}.+\.txt",
        r"logs/azureml/executionlogs\.txt",
        r"azureml-logs/hyperdrive\.txt",
    )
)
_TAIL_BYTES = 65_536
_READ_BYTES = 4 * 1024 * 1024
_END, _RETURN = b"\n", b"\r"


class RunLogs(RunHistory):
    """Read the logs of runs."""

    kind = "logs"

    def files(self, run_id: str, experiment: str | None = None) -> dict[str, str]:
        """Return the run's log files by name, with SAS URLs that expire: ask again for each look."""
        try:
            return dict(self.details(run_id, experiment).get("logFiles") or {})
        except NotFoundError:
            return {}

    def read_file(
        self,
        url: str,
        offset: int = 0,
        limit: int = _READ_BYTES,
        *,
        retry: Retry = "auto",
        timeout: tuple[float, float] = (5, 120),
    ) -> bytes:
        """Return what a log file has beyond the offset, at most ``limit`` bytes; nothing while it does not exist."""
        response = self.http.request(
            "GET",
            self.http.signed(url),
            operation="read log",
            headers={"Range": f"bytes={offset}-{offset + limit - 1}"},
            auth=None,
            allow=(404, 416),
            retry=retry,
            timeout=timeout,
        )
        if response.status_code in {404, 416}:
            return b""
        content: bytes = response.content
        return content if response.status_code == 206 else content[offset : offset + limit]  # noqa: PLR2004 - 200: it ignored the range

    def tail(self, run_id: str, lines: int = 50, experiment: str | None = None) -> list[str]:
        """Return the last lines of the user's own output; empty when there is none."""
        files = self.files(run_id, experiment)
        name = stream_log(files)
        if name is None:
            return []
        # Blob storage has no "last N bytes": ask for the size first.
        head = self.http.request("HEAD", files[name], operation="read log", auth=None, allow=(404,))
        size = int(head.headers.get("Content-Length") or 0) if head.ok else 0
        start = max(0, size - _TAIL_BYTES)
        text = self.read_file(files[name], start).decode("utf-8", "replace")
        return text.splitlines()[1 if start else 0 :][-lines:]

    def follow(self, target: Target, position: Mapping[str, str] | None = None) -> LogFollower:
        """Return what reads the user's own output of a run as it grows.

        :param position: :attr:`LogFollower.position` of another process that has stopped following.
        """
        return LogFollower(self, target, position)


class LogFollower:
    """The user's own output of one run, line by line.

    :param logs: reads it.
    :param target: the run.
    :param position: what :attr:`position` was when another process stopped following.
    """

    __slots__ = ("_file", "_given_up", "_logs", "_offset", "_target", "_url")

    def __init__(self, logs: RunLogs, target: Target, position: Mapping[str, str] | None = None) -> None:
        self._logs = logs
        self._target = target
        self._file = (position or {}).get("file", "")
        self._offset = int((position or {}).get("offset", 0))
        self._url = ""
        self._given_up = False

    @property
    def position(self) -> dict[str, str]:
        """How far the log has been shown, as plain JSON."""
        return {"file": self._file, "offset": str(self._offset)}

    def read(self) -> list[str]:
        """Return the lines that have been completed since, of the next 64 KiB; none while there is no log.

        A log that cannot be read now must not harm the wait: it is tried again later, or a line says why not.
        """
        try:
            piece = self._piece(LIVE)
        except AzureMLError as error:
            if error.permanent:
                self._give_up(error)
            return []
        return self._lines(_whole(piece))

    def rest(self) -> Iterator[str]:
        """Yield what is left of the log of a run that has ended, the last line also when it has no end."""
        try:
            while piece := self._piece():
                yield from self._lines((_whole(piece) if len(piece) == PIECE else b"") or piece)
        except AzureMLError as error:
            self._give_up(error)

    @staticmethod
    def tell(lines: Iterable[str]) -> None:
        """Write the lines to the log of the task that follows."""
        for line in lines:
            log.info("%s", line)

    def _lines(self, text: bytes) -> list[str]:
        """Split into lines and go on behind them. A progress bar overwrites itself: only its last state is taken."""
        self._offset += len(text)
        rows = text.removesuffix(_END).split(_END) if text else ()
        return [row.rstrip(_RETURN).rpartition(_RETURN)[2].decode("utf-8", "replace") for row in rows]

    def _give_up(self, error: AzureMLError) -> None:
        self._given_up, self._url = True, ""
        log.warning("%s: its log cannot be shown here, from byte %d on: %s", self._target, self._offset, error)

    def _piece(self, how: Mapping[str, Any] = EMPTY) -> bytes:
        try:
            return self._read(how)
        except PermissionDeniedError:
            self._url = ""  # the signature has expired: once more with a new one
            return self._read(how)

    def _read(self, how: Mapping[str, Any]) -> bytes:
        url = self._url or ("" if self._given_up else self._find())
        if not url:
            return b""
        if self._file.startswith(USER_LOGS):  # before, only the building of the environment may have a log
            self._url = url
        return self._logs.read_file(url, self._offset, PIECE, **how)

    def _find(self) -> str:
        files = self._logs.files(self._target.name, self._target.parent or None)
        name = stream_log(files) or ""
        if name and name != self._file:
            self._file, self._offset = name, 0
        return files.get(name, "")


def _whole(piece: bytes) -> bytes:
    """Return the whole lines of a piece. Where no line ends (perhaps none ever will), return its whole characters."""
    lines = piece[: piece.rfind(_END) + 1]
    if lines or len(piece) < PIECE:
        return lines
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(piece)
    return piece.removesuffix(decoder.getstate()[0])


def stream_log(names: Iterable[str]) -> str | None:
    """Return which of a run's log files is the user's own output."""
    every = sorted(names)
    for pattern in _STREAM_LOGS:
        matching = [name for name in every if pattern.match(name)]
        if matching:
            first = [name for name in matching if "rank_0" in name or "worker_0" in name]
            return (first or matching)[-1]
    return None
