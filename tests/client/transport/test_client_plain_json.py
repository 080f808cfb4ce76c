"""What answers hold, and what goes to XCom, events and databases."""

from __future__ import annotations

import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from airflow_azml.client.transport.plain_json import content_of, storable

PNG = b"\x89PNG\r\n\x1a\n\x00\x00"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner),
)


def answer(content, content_type):
    response = requests.Response()
    response._content = content
    if content_type is not None:
        response.headers["Content-Type"] = content_type
    return response


def test_what_no_database_takes_is_replaced():
    """NUL and half of a surrogate pair, in names and in values; numbers that are none become their names."""
    value = {"a\0b": ["c\0", {"d": "\ud800"}, 1.5, None, True], "e": "é\t\n", "f": (float("nan"), float("-inf"))}
    assert storable(value) == {
        "a\ufffdb": ["c\ufffd", {"d": "?"}, 1.5, None, True],
        "e": "é\t\n",
        "f": ["NaN", "-Infinity"],
    }


@given(ANYTHING)
def test_whatever_was_received_can_be_stored(value):
    """Strict JSON in strict UTF-8 without NUL, and the same when it is stored again."""
    stored = storable(value)
    assert "\\u0000" not in json.dumps(stored, allow_nan=False)
    json.dumps(stored, ensure_ascii=False, allow_nan=False).encode()
    assert storable(stored) == stored


@pytest.mark.parametrize(
    ("content", "content_type", "value"),
    [
        (b'{"a": NaN}', "application/json", {"a": "NaN"}),
        ('{"a": "é"}'.encode("utf-16"), "application/json", {"a": "é"}),
        (b'\xef\xbb\xbf{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b"[1]", None, [1]),
        ("Instruktører".encode(), "text/plain", "Instruktører"),
        ("Instruktører".encode(), None, "Instruktører"),
        ("Instruktører".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Instruktører"),
        ("Instruktører".encode("latin-1"), 'text/csv; charset="latin-1"', "Instruktører"),
        ("Instruktører".encode("latin-1"), "text/plain", "Instrukt\ufffdrer"),
        (b"a,b", "text/csv; charset=nonsense", "a,b"),
        (b"<a/>", "application/atom+xml", "<a/>"),
        ("\ufeffa".encode(), "text/plain", "a"),
        (b"", "text/plain", ""),
        (PNG, "image/png", {"content_type": "image/png", "base64": "iVBORw0KGgoAAA=="}),
        (PNG, None, {"content_type": "application/octet-stream", "base64": "iVBORw0KGgoAAA=="}),
        (b"plain", "application/octet-stream", "plain"),
        (b"plain", "application/pdf", {"content_type": "application/pdf", "base64": "cGxhaW4="}),
    ],
)
def test_an_answer_is_read_by_its_type_and_charset(content, content_type, value):
    """JSON, else text by its charset (UTF-8 when it names none), else base64 with the type: never broken text."""
    assert storable(content_of(answer(content, content_type))) == value
