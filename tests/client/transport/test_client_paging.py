"""Lists that come page by page, whatever the style."""

from __future__ import annotations

import pytest
from client_support import ARM

from airflow_azml.client.transport import errors

URL = f"{ARM}/things"


def test_a_foreign_next_link_is_refused(client, requests_mock):
    """Paging does not carry the token away."""
    requests_mock.get(URL, json={"value": [{"n": 1}], "nextLink": "https://evil.example/next"})
    pages = client.transport.pages("GET", URL, operation="list")
    assert next(pages) == {"n": 1}
    with pytest.raises(errors.UntrustedHostError):
        next(pages)


def test_the_three_styles_of_paging(client, requests_mock):
    """NextLink is followed as written; continuationToken goes into the body of a POST or the query of a GET."""
    requests_mock.get(f"{URL}?api-version=1", json={"value": [1], "nextLink": f"{ARM}/more?$skip=1"})
    requests_mock.get(f"{ARM}/more?$skip=1", json={"value": [2], "nextLink": None})
    assert list(client.transport.pages("GET", URL, operation="list", params={"api-version": "1"})) == [1, 2]
    assert requests_mock.last_request.query == "$skip=1"
    requests_mock.post(URL, [{"json": {"value": [], "continuationToken": "c1"}}, {"json": {"value": [3]}}])
    assert list(client.transport.pages("POST", URL, operation="query", json={"filter": "f"}, retry="always")) == [3]
    assert requests_mock.last_request.json() == {"filter": "f", "continuationToken": "c1"}
    requests_mock.get(f"{ARM}/tokens", [{"json": {"value": [4], "continuationToken": "c2"}}, {"json": {"value": [5]}}])
    assert list(client.transport.pages("GET", f"{ARM}/tokens", operation="list", token_parameter="$skipToken")) == [
        4,
        5,
    ]
    assert requests_mock.last_request.qs == {"$skiptoken": ["c2"]}


def test_a_page_that_leads_to_itself_ends(client, requests_mock):
    """A service that repeats its token does not keep us for ever."""
    requests_mock.get(URL, json={"value": [1], "nextLink": f"{URL}?again=1"})
    assert list(client.transport.pages("GET", URL, operation="list")) == [1, 1]
