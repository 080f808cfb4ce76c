"""Lists in pages, as Resource Manager hands them out: `value` and, while there is more, an absolute `nextLink`.

Older api-versions say `$skiptoken`, newer ones `$skip`; both are read, and `count` (model management) is `$top`. No
page repeats another's token; it is spelled as azureml-core looks for it.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request

from airflow_azml.emulator.http.faults import bad_request

PAGE_SIZE = 100
_OFFSETS = ("$skip", "$skiptoken")
_SIZES = ("$top", "count")
_LARGEST = 2**31


class Pager:
    """Cuts a whole list into the page that the request asks for.

    Raises the service's 400 when one of the parameters is not a number.
    """

    def __init__(self, request: Request) -> None:
        self._query = [(name, value) for name, value in request.query_params.items()]
        self._url = str(request.state.base) + quote(request.url.path)
        self._start = max(self._number(name, 0) for name in _OFFSETS)
        self._size = max(self._number(name, 0) for name in _SIZES) or PAGE_SIZE

    def page(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the page's body."""
        end = self._start + self._size
        body: dict[str, Any] = {"value": items[self._start : end]}
        if end < len(items):
            query = [(name, value) for name, value in self._query if name.casefold() not in _OFFSETS]
            body["nextLink"] = f"{self._url}?{urlencode([*query, ('$skipToken', end)], safe='$')}"
        return body

    def _number(self, name: str, default: int) -> int:
        text = next((value for key, value in self._query if key.casefold() == name), str(default))
        if not (text.isascii() and text.isdigit()) or int(text[:20]) > _LARGEST:
            raise bad_request(f"The value '{text}' of the query parameter '{name}' is not a valid number.", target=name)
        return int(text)


async def _pager(request: Request) -> Pager:
    return Pager(request)


Paged = Annotated[Pager, Depends(_pager)]
