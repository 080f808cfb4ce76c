"""Names and ids: what is accepted, and what is said when it is not."""

from __future__ import annotations

import pytest

from airflow_azml.client import names
from airflow_azml.client.transport.errors import InputError


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            names.check_compute_name,
            ["cpu", "cpu-cluster", "a1"],
            ["1cpu", "a", "cpu-", "cpu_1", "c" * 33, "", None, "cpu\n"],
        ),
        (names.check_run_id, ["a", "train_1-x", "9", "a" * 256], ["-a", "a" * 257, "a:b", "a.b", "a+b", "", "é"]),
        (names.check_experiment_name, ["exp", "a" * 255], ["a b", "_a", "a" * 256]),
        (names.check_asset_name, ["env-1"], ["env.1"]),
        (names.check_model_name, ["m", "my.model-1_x"], [".m", "m/1", "m:1"]),
        (names.check_endpoint_name, ["abc", "my-endpoint"], ["ab", "1ab", "abc-", "a" * 33, "a_b"]),
        (names.check_deployment_name, ["blue"], ["b"]),
    ],
)
def test_names(check, good, bad):
    """Names within the rules are returned, others refused with field, value and rule."""
    assert [check(name) for name in good] == good
    for name in bad:
        with pytest.raises(InputError, match="must be") as caught:
            check(name)
        assert caught.value.value == name


def test_deterministic_ids():
    """The same identity gives the same readable id, another one another, and every id is valid."""
    one = names.deterministic_id(["my dag", "train"], "my dag", "manual__2026-11-23T00:00:00+00:00", "train", -1, 0, 0)
    assert one == names.deterministic_id(
        ["my dag", "train"], "my dag", "manual__2026-11-23T00:00:00+00:00", "train", -1, 0, 0
    )
    assert one.startswith("my-dag-train-")
    assert one != names.deterministic_id(
        ["my dag", "train"], "my dag", "manual__2026-11-23T00:00:00+00:00", "train", -1, 0, 1
    )
    assert names.deterministic_id(["x"], "a", "bc") != names.deterministic_id(["x"], "ab", "c")
    for slug in (["é:+"], [], ["x" * 999], ["-"]):
        made = names.deterministic_id(slug, "i")
        assert names.check_run_id(made) == names.check_experiment_name(made)
        assert len(made) <= 100
