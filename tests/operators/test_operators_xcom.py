"""Whatever an operator returns can be stored as an XCom."""

from __future__ import annotations

import json

from airflow_azml.operators.base import AzureMLBaseOperator


class Odd(AzureMLBaseOperator):
    """An operator whose answer holds what JSON, PostgreSQL or UTF-8 cannot."""

    def act(self, task):  # noqa: ARG002 - the operators' signature
        """Return what a model may answer."""
        return {"answer": [float("nan"), float("inf"), "half \ud83d", "nul \0", {"ok": 1.5}]}


def test_a_result_that_no_database_takes_is_made_one_that_it_takes():
    """NaN, half a character and NUL in a score's answer do not lose the answer."""
    result = Odd(task_id="odd").execute({})
    assert result == {"answer": ["NaN", "Infinity", "half ?", "nul \ufffd", {"ok": 1.5}]}
    json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
