"""Report secrets as soon as they are known, so that the caller can mask them in logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_azml.client.transport.redact import signatures_of

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_SIGNATURES = 100
"""Each file and operation has a signature of its own, and the more texts Airflow's masker knows, the longer it takes: a
minute for a thousand. Signatures expire, and whatever this package prints has been through :func:`redact`."""


class Secrets:
    """Reports each secret once, because reporting one to Airflow costs a call to the supervisor.

    :param tell: is called with each secret; None when nobody masks them.
    """

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self._signatures = 0

    def tell(self, value: str | None) -> None:
        """Report a secret."""
        if value and self._tell and value not in self._told:
            self._told.add(value)
            self._tell(value)

    def tell_signature(self, url: str) -> None:
        """Report the signature of a URL, unless very many have been reported."""
        for signature in signatures_of(url):
            if signature not in self._told and self._signatures < _MOST_SIGNATURES:
                self._signatures += 1
                self.tell(signature)
