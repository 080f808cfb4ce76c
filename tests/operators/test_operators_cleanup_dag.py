"""The example DAG that deletes many things: what it chooses, on a real emulator, without an Airflow around it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError

from airflow_azml.hooks.azureml import AzureMLHook

FILE = Path(__file__).parents[2] / "dags" / "azureml_cleanup.py"
DELETES = {"dry_run": False, "keep_days": 0}


@pytest.fixture
def dag():
    return runpy.run_path(str(FILE))["dag"]


@pytest.fixture
def chosen(airflow, dag):  # noqa: ARG001 - the connection is airflow's
    """Return a function that tells what a task chooses to delete, with some parameters changed."""

    def chosen(task_id, **params):
        return dag.get_task(task_id).python_callable({**dag.params.dump(), **params})

    return chosen


@pytest.fixture
def endpoints(emulator):
    """Endpoints that differ in name and tags."""
    tags = {
        "tmp-marked": {"temporary": "true"},
        "tmp-bare": {},
        "tmp-false": {"temporary": "false"},
        "shop": {"temporary": "true"},
        "prod": {},
    }
    for name, given in tags.items():
        body = {"location": "eastus", "properties": {"authMode": "Key"}, "tags": given}
        emulator.arm("PUT", f"/onlineEndpoints/{name}", json=body).raise_for_status()


@pytest.mark.usefixtures("endpoints")
def test_only_what_has_both_the_prefix_and_the_tag_is_deleted(chosen):
    """An endpoint that nobody marked is never chosen, however old it is."""
    assert chosen("old_endpoints", **DELETES) == ["tmp-marked"]
    assert chosen("old_endpoints", **DELETES, endpoint_prefix="shop") == ["shop"]
    assert chosen("old_endpoints", dry_run=False) == []  # it is younger than a week


@pytest.mark.usefixtures("endpoints")
def test_by_default_nothing_is_deleted_but_shown(chosen, caplog):
    """Whoever unpauses the example loses nothing; the log names what would go."""
    caplog.set_level("INFO")
    assert chosen("old_endpoints", keep_days=0) == []
    assert "Dry run, would delete: ['tmp-marked']" in caplog.text


def test_versions_are_only_shown_by_default_too(chosen, tmp_path, caplog):
    """The newest ones are kept."""
    caplog.set_level("INFO")
    (tmp_path / "model.txt").write_text("3")
    for key in ("1", "2", "3"):
        AzureMLHook().client.models.register_local(tmp_path / "model.txt", name="old", key=key)
    expected = [{"model_name": "old", "model_version": "1"}]
    assert chosen("old_versions", models=["old"], keep_versions=2) == []
    assert f"would delete: {expected}" in caplog.text
    assert chosen("old_versions", models=["old"], keep_versions=2, dry_run=False) == expected


@pytest.mark.parametrize("wrong", [{"endpoint_prefix": ""}, {"endpoint_prefix": None}, {"keep_versions": 0}])
def test_a_filter_that_would_take_everything_is_refused(dag, wrong):
    """An empty prefix, or no version to keep, is no valid parameter of a run."""
    with pytest.raises(ParamValidationError):
        dag.params.update(wrong)
