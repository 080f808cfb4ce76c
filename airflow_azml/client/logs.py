"""Following the log of a run while it grows: whole lines, each of them once, from a position that outlives a process.

The log is a blob that is appended to. Its address is signed, first known when the run has begun, and expires.
"""

from __future__ import annotations

import codecs
import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_azml.client.runs import USER_LOGS, stream_log
from airflow_azml.client.transport.errors import AzureMLError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Target

log = logging.getLogger(__name__)
PIECE = 65_536  # bytes that are read at once: a log that floods must not hold up others
LIVE: Mapping[str, Any] = MappingProxyType({"retry": "never", "timeout": (5, 30)})  # others wait for their turn
EMPTY: Mapping[str, Any] = MappingProxyType({})
_END, _RETURN = b"\n", b"\r"


class LogFollower:
    """The user's own output of one run, line by line.

    :param target: the run.
    :param position: what :attr:`position` was when another process stopped following.
    """

    __slots__ = ("_file", "_given_up", "_offset", "_target", "_url")

    def __init__(self, target: Target, position: Mapping[str, str] | None = None) -> None:
        self._target = target
        self._file = (position or {}).get("file", "")
        self._offset = int((position or {}).get("offset", 0))
        self._url = ""
        self._given_up = False

    @property
    def position(self) -> dict[str, str]:
        """How far the log has been told: plain JSON."""
        return {"file": self._file, "offset": str(self._offset)}

    def read(self, client: AzureMLClient) -> list[str]:
        """Return the lines that have been completed since, of the next 64 KiB; none while there is no log.

        A log that cannot be read now must not harm the wait: it is tried again later, or said once to be unreadable.
        """
        try:
            piece = self._piece(client, LIVE)
        except AzureMLError as error:
            if error.permanent:
                self._give_up(error)
            return []
        return self._told(_whole(piece))

    def rest(self, client: AzureMLClient) -> Iterator[str]:
        """Yield what is left of the log of a run that has ended, the last line also when it has no end."""
        try:
            while piece := self._piece(client):
                yield from self._told((_whole(piece) if len(piece) == PIECE else b"") or piece)
        except AzureMLError as error:
            self._give_up(error)

    @staticmethod
    def tell(lines: Iterable[str]) -> None:
        """Write the lines to the log of the task that follows."""
        for line in lines:
            log.info("%s", line)

    def _told(self, text: bytes) -> list[str]:
        """Split into lines and go on behind them; of a progress bar, which overwrites itself, take its last word."""
        self._offset += len(text)
        rows = text.removesuffix(_END).split(_END) if text else ()
        return [row.rstrip(_RETURN).rpartition(_RETURN)[2].decode("utf-8", "replace") for row in rows]

    def _give_up(self, error: AzureMLError) -> None:
        self._given_up, self._url = True, ""
        log.warning("%s: its log cannot be shown here, from byte %d on: %s", self._target, self._offset, error)

    def _piece(self, client: AzureMLClient, how: Mapping[str, Any] = EMPTY) -> bytes:
        try:
            return self._read(client, how)
        except PermissionDeniedError:
            self._url = ""  # the signature has expired: once more with a new one
            return self._read(client, how)

    def _read(self, client: AzureMLClient, how: Mapping[str, Any]) -> bytes:
        url = self._url or ("" if self._given_up else self._find(client))
        if not url:
            return b""
        if self._file.startswith(USER_LOGS):  # before, only the building of the environment may have a log
            self._url = url
        return client.runs.read_log(url, self._offset, PIECE, **how)

    def _find(self, client: AzureMLClient) -> str:
        files = client.runs.log_files(self._target.name, self._target.parent or None)
        name = stream_log(files) or ""
        if name and name != self._file:
            self._file, self._offset = name, 0
        return files.get(name, "")


def _whole(piece: bytes) -> bytes:
    """Return what of a piece is whole lines; where no line ends, for none may ever do so, whole characters."""
    lines = piece[: piece.rfind(_END) + 1]
    if lines or len(piece) < PIECE:
        return lines
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(piece)
    return piece.removesuffix(decoder.getstate()[0])
