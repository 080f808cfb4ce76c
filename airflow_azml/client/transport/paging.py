"""Lists that come in pages, in whichever of the service's three styles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def pages(
    ask: Callable[..., Any],
    method: str,
    url: str,
    *,
    operation: str,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    token_parameter: str = "$continuationtoken",  # noqa: S107 - a parameter's name
    items: str = "value",
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Yield every item of a list.

    ``nextLink`` is followed by a GET, as it is written; ``continuationToken`` goes back in the body of a POST, or in
    the query of a GET. A POST that is answered with both is a query, which goes on by its token.

    :param ask: sends a request and returns the JSON of its answer.
    :param token_parameter: the query parameter that takes the token; the services do not agree on it.
    :param items: the member in which a page has its items.
    """
    seen: set[str] = set()
    while True:
        page = ask(method, url, operation=operation, params=params, json=json, **options)
        yield from page.get(items) or ()
        link, token = page.get("nextLink"), page.get("continuationToken")
        following = token if method == "POST" and token else link or token
        if not following or following in seen:  # a service that repeats its token would keep us for ever
            return
        seen.add(following)
        if following == link:
            method, url, params, json = "GET", link, None, None
        elif json is not None:
            json = {**json, "continuationToken": token}
        else:
            params = {**(params or {}), token_parameter: token}
