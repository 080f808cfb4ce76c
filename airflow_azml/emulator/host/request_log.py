"""The request log: a line for each request, with its answer, its time and its id; no secret of an address is in it."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from airflow_azml.emulator.host.claims import ClaimError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = re.compile(r"(?<=[?&]sig=)[^&]*", re.IGNORECASE)


class RequestLog:
    """Writes the log, within `with`.

    :param place: file to append to; `-` is the standard error, None is nowhere.
    """

    def __init__(self, place: Path | None) -> None:
        self._place, self._exit, self._stream = place, ExitStack(), None if place is None else sys.stderr

    def __enter__(self) -> Self:
        if self._place is not None and str(self._place) != "-":
            try:
                self._stream = self._exit.enter_context(self._place.open("a", buffering=1))
            except OSError as error:
                raise ClaimError(f"{self._place} cannot be the request log: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def note(self, request_id: str, method: str, target: str, status: int | None, seconds: float) -> None:
        """Write a line.

        :param target: path and query.
        :param status: of the answer; None when there was none.
        """
        if self._stream is not None:
            moment = datetime.now(UTC).isoformat(timespec="milliseconds")
            target = SECRET.sub("***", target.encode("unicode_escape").decode())
            self._stream.write(f"{moment} {status or '-'} {method} {target} {seconds * 1e3:.1f} ms {request_id}\n")
