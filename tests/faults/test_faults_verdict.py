"""The campaign's count: it must see what it is there to see."""

from __future__ import annotations

from typing import Any

import pytest
import verdict
from verdict import FAILING, Left, Pipeline, Verdict

GOOD = Pipeline("fault_sync", "p1", "success", tries=2, trained="r0", version="1")
BAD = Pipeline(FAILING, "p1", "failed", tries=3)


def run(run_id: str, status: str = "Completed", begun: int = 0, ended: int | None = None) -> dict[str, Any]:
    at = {"createdUtc": f"2026-01-01T00:00:{begun:02}"}
    return {"runId": run_id, "status": status, **at, "endTimeUtc": f"2026-01-01T00:00:{(ended or begun + 1):02}"}


def left(*runs: dict[str, Any], models: tuple[str, ...] = (), **more: Any) -> Left:
    return Left(**{"runs": {"p1": runs}, "models": {"p1": models}, "resources": ["shared"], "processes": [], **more})


def test_a_good_end_is_called_one() -> None:
    """One run for a training that works, one for each try of one that does not: nothing to complain of."""
    three = left(run("r0", "Failed"), run("r1", "Failed", 2), run("r2", "Failed", 4))
    for pipeline, found in ((GOOD, left(run("r0"))), (BAD, three)):
        assert verdict.ended_wrong(pipeline) == verdict.lost(pipeline, found) == verdict.doubled(pipeline, found) == ""
        assert verdict.left_running(found) == []


@pytest.mark.parametrize(
    ("pipeline", "found"),
    [
        (GOOD, left(run("r0"), run("r1", begun=5))),
        (GOOD, left(run("r0"), run("r1", "Canceled", begun=5))),
        (BAD, left(*(run(f"r{number}", "Failed", 2 * number) for number in range(4)))),
        (BAD, left(run("r0", "Failed", 0, 9), run("r1", "Failed", 5))),
        (GOOD, left(run("r0"), models=("2",))),
        (Pipeline("fault_sync", "p1", "success", 1, "r0", version="2"), left(run("r0"))),
    ],
    ids=["again", "canceled", "more than tries", "at once", "version left", "second version"],
)
def test_what_is_there_twice_is_seen(pipeline: Pipeline, found: Left) -> None:
    """More runs than attempts, two at once, or two versions of a model are called doubled."""
    assert verdict.doubled(pipeline, found)


@pytest.mark.parametrize(
    ("pipeline", "found"),
    [(GOOD, left()), (GOOD, left(run("r0", "Failed"))), (GOOD, left(run("other"))), (BAD, left())],
    ids=["no run", "failed", "not taken up", "no failed run"],
)
def test_what_is_missing_is_seen(pipeline: Pipeline, found: Left) -> None:
    """A pipeline without its run, or whose task tells of another, is called lost."""
    assert verdict.lost(pipeline, found)


@pytest.mark.parametrize("more", [{"resources": ["shared", "c-p1"]}, {"processes": ["python train.py"]}])
def test_what_still_costs_is_seen(more: dict[str, Any]) -> None:
    """Active runs, clusters and endpoints that were to be deleted and processes of scripts are named."""
    assert len(verdict.left_running(left(run("r0", "Running"), **more))) == 2


def test_one_fault_spoils_a_campaign() -> None:
    """The campaign is good only when all numbers are."""
    good = Verdict(2, ended_right=2, lost=0, doubled=0, left_running=0, secrets_found=0, faults_injected=9, kills=9)
    assert good.good
    assert not Verdict(**{**good.as_json(), "ended_right": 1}).good
    assert not any(
        Verdict(**{**good.as_json(), name: 1}).good for name in ("lost", "doubled", "left_running", "secrets_found")
    )
