"""What a crash campaign knows: what the emulator acknowledged, and what was found to be wrong with it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

SORTS = ("lost", "resurrected", "torn", "stuck", "repeated", "orphans", "litter", "failures")


@dataclass
class Ledger:
    """Shared by all clients; each name in it has one writer.

    :param marks: what each resource, as `kind/name`, was last marked with; None when its deletion was acknowledged.
    :param runs: the mark of each acknowledged run.
    :param canceled: the runs whose cancellation was acknowledged.
    :param acknowledged: how many changes were acknowledged, by sort of resource.
    """

    marks: dict[str, str | None] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    acknowledged: Counter[str] = field(default_factory=Counter)
    _found: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, kind: str) -> None:
        """Count a change that was acknowledged."""
        with self._lock:
            self.acknowledged[kind] += 1

    def report(self, sort: str, what: str, how: str) -> None:
        """Note that something is wrong; the same thing counts once."""
        with self._lock:
            self._found.setdefault((sort, what), how)

    def compare(self, what: str, seen: str | None) -> None:
        """Report a resource that is not as it was last acknowledged.

        :param seen: its mark; several, joined with `|`, when its parts are of different writes; None when it is gone.
        """
        wanted = self.marks.get(what)
        if seen == wanted:
            return
        sort = "resurrected" if wanted is None else "torn" if "|" in (seen or "") else "lost"
        self.report(sort, what, f"its mark is {seen}, not {wanted}")

    def lines(self) -> list[str]:
        """Return a line for each thing that is wrong."""
        return [f"{sort}: {what}: {how}" for (sort, what), how in self._found.items()]

    def counts(self) -> dict[str, int]:
        """Return how many things are wrong, of each sort."""
        found = Counter(sort for sort, _ in self._found)
        return {sort: found[sort] for sort in SORTS}
