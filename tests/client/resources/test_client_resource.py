"""What all kinds have in common: a second look at what was not found, and results that always have the same keys."""

from __future__ import annotations

from functools import partial

import pytest
from client_support import ARM, REGION, WORKSPACE, WS, regional
from requests_mock import ANY

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.lifecycle import GONE, Goal, Observation, Phase, Target
from airflow_azml.client.resources.resource import Resource, path_of
from airflow_azml.client.transport.errors import InputError

HISTORY = regional("history/v1.0")


ABSENT = {"status_code": 404, "json": {"error": {"code": "NotFound", "message": "no"}}}


# One target of each kind that has a result.
TARGETS = {
    "runs": Target("runs", "r1", "exp"),
    "computes": Target("computes", "cpu"),
    "compute_instances": Target("compute_instances", "cpu"),
    "models": Target("models", "m", "1"),
    "endpoints": Target("endpoints", "shop"),
    "deployments": Target("deployments", "blue", "shop"),
    "workspaces": Target("workspaces", "w"),
}


def route(mock):
    """Answer the way to the workspace's region again: a rule that was made later counts first."""
    mock.get(f"{ARM}?api-version=2019-11-01", json=WORKSPACE)
    mock.get(f"{REGION}/discovery", json={"api": f"{REGION}/"})


def kinds_with_results():
    kinds = [kind for kind in map(partial(getattr, AzureMLClient), vars(AzureMLClient)) if isinstance(kind, type)]
    return {kind.kind for kind in kinds if issubclass(kind, Resource) and kind.result is not Resource.result}


def test_every_kind_with_a_result_has_a_target_here():
    """A new kind needs a line in `TARGETS`, so that the tests below hold for it too."""
    assert kinds_with_results() == set(TARGETS)


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_result_has_the_keys_that_are_promised_before_it_can_be_read(make_client, requests_mock, kind, api):
    """A task that waits, one that does not, and one whose last read failed push the same keys."""
    client, target = make_client(api=api), TARGETS[kind]
    requests_mock.register_uri(ANY, ANY, json={"name": "x", "runId": "r1", "value": []})
    route(requests_mock)
    told = client.of(target).result(target)
    known = client.of(target).known(target, Observation(Phase.SUCCEEDED, "Succeeded"))
    assert set(told) == set(known)
    assert None not in {known[name] for name in client.of(target).names}


@pytest.mark.parametrize("goal", [Goal.SUCCEEDED, Goal.STOPPED])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_resource_that_was_not_found_once_is_looked_at_twice(client, requests_mock, kind, goal):
    """One wrong 404 about a run that is running must not fail its task."""
    target = Target(kind, TARGETS[kind].name, TARGETS[kind].parent, goal)
    there = {"runId": "r1", "status": "Running", "properties": {"provisioningState": "Updating"}}
    absences = 2 if kind == "runs" else 1  # a run is asked for in its experiment as well
    requests_mock.get(ANY, [ABSENT] * absences + [{"json": there}])
    route(requests_mock)
    assert client.look(target) is not GONE
    assert client.slept == [1.0]


def test_many_runs_of_which_one_was_not_found_once(client, requests_mock):
    """The one that is missing in the answer for many is asked for alone, twice."""
    requests_mock.post(f"{HISTORY}/batchrundata", json={"successfulResults": {}})
    there = {"json": {"runId": "r1", "status": "Running"}}
    requests_mock.get(f"{HISTORY}/runs/r1", [ABSENT, there])
    requests_mock.get(f"{HISTORY}/runs/r2", [ABSENT, ABSENT])
    one, other = Target("runs", "r1"), Target("runs", "r2")
    seen = client.runs.look_many([one, other])
    assert (seen[one].status, seen[other]) == ("Running", GONE)


def test_paths_quote_names(client):
    """A name never adds a level to a path."""
    assert client.runs.regional("history/v1.0", "runs", "a/../b?c") == f"{REGION}/history/v1.0{WS}/runs/a%2F..%2Fb%3Fc"


def test_an_address_never_loses_a_level():
    """A client drops `..` from an address: the name of one thing would reach the thing above it."""
    for name in ("", " ", ".", "..", None):
        with pytest.raises(InputError, match="must be the name of one thing"):
            path_of(("computes", name))
    assert path_of(("models", "a/b", "...")) == "/models/a%2Fb/..."
