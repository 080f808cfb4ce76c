"""A page of the studio as data, and its HTML.

Everything that is shown comes from users and their scripts: the template escapes all of it, and no page may load or run
anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every answer."""


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to another page of the studio.

    :param text: what is shown.
    :param path: where it leads; its parts are percent-encoded.
    """

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading.

    :param title: the heading.
    :param columns: names of the columns.
    :param rows: one value per column; mappings are shown as JSON.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    @classmethod
    def of(cls, title: str, values: Mapping[str, Any]) -> Table:
        """Return a table of names and values."""
        return cls(title, ("name", "value"), list(values.items()))


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its line breaks, such as a log.

    :param title: the heading.
    :param text: the text.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    :param kind: what it is about, for example `Run`.
    :param name: which one.
    :param facts: what is known of it; empty values are left out.
    :param parts: the tables and texts below; empty ones are left out.
    :param moving: whether it will change soon: the page then loads itself again.
    """

    kind: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Table | Text, ...] = ()
    moving: bool = False

    def html(self) -> str:
        """Return the page as HTML."""
        tables = [part for part in self.parts if isinstance(part, Table) and part.rows]
        texts = [part for part in self.parts if isinstance(part, Text) and part.text]
        facts = {name: value for name, value in self.facts.items() if value not in (None, "", {}, [])}
        return _TEMPLATES.get_template("page.html").render(page=self, facts=facts, tables=tables, texts=texts)


def _shown(value: Any) -> str:
    """Return a value as text; the template escapes it."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


_TEMPLATES = Environment(
    loader=PackageLoader("airflow_azml.emulator.studio", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["shown"] = _shown
_TEMPLATES.tests["link"] = lambda value: isinstance(value, Link)
