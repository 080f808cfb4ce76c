"""Queries of the run history: filter, order, and pages that neither repeat nor lose a row while rows come and change.

A continuation token names the last row that was seen by its place in the order, not by its number.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow_azml.emulator.http import odata
from airflow_azml.emulator.http.faults import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_azml.emulator.kernel.store import Document

Place = tuple[int, Any, str]


@dataclass(frozen=True, slots=True)
class Query:
    """`QueryParams` of the specification.

    :param filter: in the dialect of odata.py; empty for all.
    :param field: member to order by.
    :param descending: the greatest first.
    :param top: rows of a page; None for all.
    :param token: of the page before; empty for the first page.
    """

    filter: str
    field: str
    descending: bool
    top: int | None
    token: str

    def select(self, rows: list[Document], key: str, fields: tuple[str, ...]) -> tuple[list[Document], str]:
        """Return a page of the rows, and the token of the next one (empty after the last).

        :param key: the member that tells one row from another.
        :param fields: the members that rows can have; no other can be filtered or ordered by.
        """
        odata.check_field(self.field, fields, "orderBy")
        if self.filter:
            accepted = odata.parse(self.filter, fields)
            rows = [row for row in rows if accepted(row)]
        places = sorted(
            ((self._place(row, key), row) for row in rows), key=lambda pair: pair[0], reverse=self.descending
        )
        if self.token:
            last = _decode(self.token)
            places = [pair for pair in places if (pair[0] < last if self.descending else pair[0] > last)]
        page = places[: self.top]
        more = len(page) < len(places)
        return [row for _, row in page], _encode(page[-1][0]) if more else ""

    def links(self, token: str, url: str) -> dict[str, str]:
        """Return `continuationToken` and `nextLink` for the token of the next page; nothing after the last page."""
        if not token:
            return {}
        order = f"{self.field} {'desc' if self.descending else 'asc'}"
        query = {"$filter": self.filter, "$orderby": order, "$top": self.top, "$continuationtoken": token}
        present = {name: value for name, value in query.items() if value}
        return {"continuationToken": token, "nextLink": f"{quote(url, safe=':/')}?{urlencode(present, safe='$')}"}

    def _place(self, row: Document, key: str) -> Place:
        value = odata.value_of(row, self.field)
        if value is None:
            return 0, "", row[key]
        return (1, value, row[key]) if isinstance(value, int | float) else (2, str(value), row[key])


def read(members: Mapping[str, Any]) -> Query:
    """Read a query from a body (`orderBy`) or from a URL (`$orderby`); member names match in any case."""
    given = {name.casefold().lstrip("$"): value for name, value in members.items() if value is not None}
    order = str(given.get("orderby") or "createdUtc desc").split()
    direction = (order[1:] or ["asc"])[0].casefold()
    if len(order) > 2 or direction not in {"asc", "desc"} or "," in order[0]:  # noqa: PLR2004 - field and direction
        raise bad_request("'orderBy' is one field, with 'asc' or 'desc'.", target="orderBy")
    if "sortorder" in given:
        direction = str(given["sortorder"]).casefold()[:4].rstrip("e")
    return Query(
        filter=str(given.get("filter", "")),
        field=order[0],
        descending=direction == "desc",
        top=_top(given.get("top")),
        token=str(given.get("continuationtoken", "")),
    )


def _top(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if not str(value).isascii() or not str(value).isdigit() or int(str(value)[:10]) < 1:
        raise bad_request("'top' must be a positive whole number.", target="top")
    return int(str(value)[:10])


def _encode(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _decode(token: str) -> Place:
    try:
        rank, value, key = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError) as error:
        raise bad_request("The continuation token is not valid.", target="continuationToken") from error
    fits = {0: value == "", 1: isinstance(value, int | float), 2: isinstance(value, str)}
    if not isinstance(key, str) or not isinstance(rank, int) or not fits.get(rank):
        raise bad_request("The continuation token is not valid.", target="continuationToken")
    return rank, value, key
