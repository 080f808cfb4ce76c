"""The filter dialect of the v1 SDK, and pages that neither repeat nor lose a row."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_azml.emulator.http import history_query, odata
from airflow_azml.emulator.http.faults import Fault

FIELDS = (
    "runId",
    "parentRunId",
    "status",
    "createdUtc",
    "runNumber",
    "hidden",
    "tags",
    "properties",
    "target",
    "runType",
)
RUN = {
    "runId": "exp_1",
    "status": "Running",
    "createdUtc": "2026-05-01T10:00:00.000000+00:00",
    "runNumber": 7,
    "hidden": False,
    "tags": {"a": "b c", "quote": 'say "hi"', "apostrophe": "it's"},
    "properties": {"azureml.runsource": "hyperdrive", "p": "q"},
    "target": "cpu",
}


@pytest.mark.parametrize(
    "text",
    [
        "(Status eq Running)",
        "status eq running or RunId eq exp_1",
        "(CreatedUtc ge 2026-01-01 00:00:00+00:00)",
        "CreatedUtc lt 2026-05-01T12:00:00Z and CreatedUtc ge 2026-05-01T12:00:00+02:00",
        "CreatedUtc gt 2026-05-01",
        '(Tags/a eq "b c")',
        r'Tags/quote eq "say \"hi\""',
        "Tags/apostrophe eq 'it''s'",
        '(Properties/p eq "q")',
        "(ParentRunId eq null)",
        "RunId ne other",
        "(RunId eq other) or (runid eq exp_1)",
        "(RunType eq x or Properties/azureml.runsource eq hyperdrive)",
        "(Tags/a ne null or Tags/a eq null)",
        "((Status eq Running) and (Target eq cpu)) and RunNumber ge 7",
        "Hidden eq false",
        "Status eq Failed or Status eq Running and Target eq cpu",
        "RunNumber ge 7 and (Status eq Failed or (Status eq Running))",
    ],
)
def test_a_filter_matches(text):
    """Every form that the SDK emits is understood."""
    assert odata.parse(text, FIELDS)(RUN)


@pytest.mark.parametrize(
    "text",
    [
        "Status eq Completed",
        "CreatedUtc ge 2026-05-01T10:00:00.000001Z",
        "Tags/nope eq x",
        "Tags/nope gt x",
        "Tags/nope ne x",
        "(Tags/nope ne null or Tags/nope eq null)",
        "ParentRunId ne null",
        "RunNumber gt 7",
        "RunNumber eq seven",
        "Status eq Running and Status eq Failed",
        "(Status eq Failed or Status eq Running) and Target eq gpu",
        'Status eq "null"',
    ],
)
def test_a_filter_does_not_match(text):
    """Precedence, absent members and types are respected."""
    assert not odata.parse(text, FIELDS)(RUN)


@pytest.mark.parametrize(
    "text",
    ["", "Status", "Status eq", "Status is Running", "(Status eq Running", "Status eq Running)", "and", '"', "a eq 'b",
     "Status eq Running Target eq cpu", "Nonsense eq 1", "Status eq Running or Tag/a eq b", "not a eq b",
     "(" * 200 + "Status eq b" + ")" * 200],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_a_400(text):
    """Never an internal error, whatever is sent."""
    with pytest.raises(Fault) as refused:
        odata.parse(text, FIELDS)
    assert refused.value.status == 400


@given(st.text(alphabet="abc() '\"/\\eqorandul:-T2026Z\n", max_size=60))
def test_no_text_breaks_the_parser(text):
    """Any text is a filter or a 400."""
    with contextlib.suppress(Fault):
        assert odata.parse(text, FIELDS)(RUN) in {True, False}


@given(st.text())
def test_any_tag_value_can_be_asked_for(value):
    """What is quoted and escaped compares as it was."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert odata.parse(f'Tags/k eq "{escaped}"', FIELDS)({"tags": {"k": value}})


VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.booleans(), st.floats(allow_nan=False))


@given(st.lists(VALUES, max_size=20), st.integers(1, 5), st.booleans())
def test_pages_hold_every_row_once_in_order(values, top, descending):
    """Whatever the values, the pages together are the sorted whole."""
    rows = [{"runId": f"r{number:02}", "x": value} for number, value in enumerate(values)]
    members = {"orderBy": f"X {'desc' if descending else 'asc'}"}
    seen, token = [], ""
    while True:
        query = history_query.read({**members, "top": top, "continuationToken": token or None})
        page, token = query.select(rows, "runId", (*FIELDS, "x"))
        seen += page
        if not token:
            break
    whole, _ = history_query.read(members).select(rows, "runId", (*FIELDS, "x"))
    assert seen == whole
    assert sorted(row["runId"] for row in seen) == [row["runId"] for row in rows]


def test_a_row_that_changes_between_pages_neither_repeats_nor_hides_another():
    """The row that ended the first page no longer matches: the second page goes on after its place."""
    rows = [{"runId": f"r{number}", "status": "Running", "createdUtc": f"2026-01-0{number}"} for number in range(1, 6)]
    members = {"filter": "Status eq Running", "orderBy": "CreatedUtc asc", "top": 2}
    _, token = history_query.read(members).select(rows, "runId", (*FIELDS, "x"))
    rows[1]["status"] = "Completed"
    page, _ = history_query.read({**members, "continuationToken": token}).select(rows, "runId", (*FIELDS, "x"))
    assert [row["runId"] for row in page] == ["r3", "r4"]


@pytest.mark.parametrize(
    "members",
    [{"top": 0}, {"top": -1}, {"top": "x"}, {"top": True}, {"top": 1.5}, {"orderBy": "a b c"}, {"orderBy": "a,b"},
     {"continuationToken": "x"}, {"continuationToken": "WzFd"}, {"continuationToken": "WzEsICJ4IiwgMV0="}],
)  # fmt: skip
def test_a_query_that_cannot_be_read_is_a_400(members):
    """Sizes, orders and tokens are checked."""
    with pytest.raises(Fault) as refused:
        history_query.read(members).select([{"runId": "a"}], "runId", FIELDS)
    assert refused.value.status == 400
