"""Values as people write them."""

from __future__ import annotations

import pytest

from airflow_azml.client.values import seconds_of


@pytest.mark.parametrize(
    ("duration", "seconds"), [(120, 120), (90.7, 90), ("120", 120), ("PT5M", 300), ("P1D", 86_400), ("PT1H30S", 3_630)]
)
def test_durations_in_either_form(duration, seconds):
    """Seconds, or ISO 8601 as the service writes it."""
    assert seconds_of("idle", duration) == seconds
