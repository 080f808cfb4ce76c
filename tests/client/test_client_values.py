"""Values that others write, made fit for what keeps them."""

from __future__ import annotations

import json

from airflow_azml.client.values import storable


def test_what_no_database_takes_is_replaced_wherever_it_stands():
    """NUL and half of a surrogate pair, in names and in values; all else stays."""
    value = {"a\0b": ["c\0", {"d": "\ud83d"}, 1.5, None, True], "e": "é\t\n"}
    assert storable(value) == {"a\ufffdb": ["c\ufffd", {"d": "?"}, 1.5, None, True], "e": "é\t\n"}
    json.dumps(storable(value), ensure_ascii=False).encode()
