"""Which models and assets the parameters of a list ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_azml.emulator.kernel.store import Document


def accepts(query: dict[str, str], same: dict[str, str], maps: dict[str, str]) -> Callable[[Document], bool]:
    """Return the test that a query makes.

    :param same: members that must be what a parameter says.
    :param maps: maps that must have what a parameter lists: `key,other=value`.
    """
    wanted = {member: query[parameter] for parameter, member in same.items() if query.get(parameter)}
    pairs = [
        (member, *item.partition("=")) for parameter, member in maps.items() for item in _items(query.get(parameter))
    ]

    def test(document: Document) -> bool:
        if any(str(document[member]).casefold() != value.casefold() for member, value in wanted.items()):
            return False
        return all(
            key in document[member] and (not equals or document[member][key] == value)
            for member, key, equals, value in pairs
        )

    return test


def _items(text: str | None) -> list[str]:
    return [item for item in (text or "").split(",") if item]
