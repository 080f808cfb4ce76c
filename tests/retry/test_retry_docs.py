"""docs/retries.md: its DAG is loaded as it stands there, and its tasks are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "retries.md"


@pytest.fixture
def tasks():
    """The tasks of the page's DAG by their ids."""
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    return {name: names[name] for name in ("compute", "train")}


def test_the_example_is_retried_as_the_page_says(tasks, airflow, emulator):
    """A full quota brings the compute back in twenty minutes; a folder that is missing fails the run at once."""
    fault = {"method": "PUT", "path": "/computes/cheap", "status": 400, "code": "ClusterCoreQuotaReached"}
    emulator.control("POST", "faults", json=fault).raise_for_status()
    refused = airflow.run_task(tasks["compute"], max_tries=tasks["compute"].retries)
    assert (refused.state, refused.message.retry_delay_seconds // 60) in [("up_for_retry", 20), ("up_for_retry", 21)]
    created = airflow.run_task(tasks["compute"], try_number=2, max_tries=tasks["compute"].retries)
    assert created.result["compute_name"] == "cheap"
    assert airflow.run_task(tasks["train"], max_tries=tasks["train"].retries).state == "failed"


def test_the_pages_numbers_are_the_policys(tasks):
    """The table names the delays that the policy has."""
    policy = tasks["train"].retry_policy
    named = {"preempted": "30 seconds", "quota": "20 minutes", "throttled": "1 minute", "transient": "30 seconds"}
    for cause, words in named.items():
        number, unit = words.split()
        seconds = int(number) * (60 if unit.startswith("minute") else 1)
        assert getattr(policy, cause).total_seconds() == seconds
        assert re.search(rf"^\| `{cause}` .* after {words}", PAGE.read_text(), re.MULTILINE)
    assert policy.longest.total_seconds() == 600
