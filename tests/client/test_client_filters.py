"""Conditions on lists, in the language of the run history."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_azml.client.filters import run_filter
from airflow_azml.client.transport import errors


def test_filters_in_the_clients_dialect():
    """Words bare, tag values in double quotes, times in UTC; conditions joined by and."""
    zone = dt.timezone(dt.timedelta(hours=2))
    assert run_filter() == ""
    assert run_filter(statuses=["Running", "Queued"]) == "(Status eq Running or Status eq Queued)"
    assert run_filter(
        tags={"team": "a b", "seen": None},
        properties={"azureml.x": "1"},
        compute_name="cpu",
        parent_run_id="p-1",
        created_after=dt.datetime(2026, 1, 1, 2, tzinfo=zone),
        roots_only=True,
    ) == (
        '(Tags/team eq "a b") and (Tags/seen ne null or Tags/seen eq null) and (Properties/azureml.x eq "1") and '
        "(Target eq cpu) and (ParentRunId eq p-1) and (CreatedUtc ge 2026-01-01T00:00:00Z) and (ParentRunId eq null)"
    )
    assert run_filter(created_after=dt.datetime(2026, 1, 1)) == "(CreatedUtc ge 2026-01-01T00:00:00Z)"  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize(
    "bad", [{"tags": {"a": 'x"y'}}, {"tags": {"a b": "x"}}, {"statuses": ["x or 1 eq 1"]}, {"compute_name": "a)"}]
)
def test_filters_cannot_be_broken_out_of(bad):
    """What would end a literal is refused."""
    with pytest.raises(errors.InputError, match="cannot be filtered by"):
        run_filter(**bad)
