"""The state machine: what a status means, when a wait is over, and how patient it is."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import msgspec
import pytest

from airflow_azml.client.lifecycle import (
    GONE,
    Decision,
    Goal,
    Observation,
    Phase,
    Policy,
    Target,
    Verdict,
    Watch,
    decide,
)
from airflow_azml.client.resources.compute import Computes
from airflow_azml.client.resources.compute_instance import ComputeInstances
from airflow_azml.client.resources.deployment import Deployments
from airflow_azml.client.resources.endpoint import Endpoints
from airflow_azml.client.resources.model import Models
from airflow_azml.client.resources.run import Runs
from airflow_azml.client.transport.errors import NotFoundError, ServiceError, ThrottledError
from airflow_azml.client.transport.longrunning import Operation

RUN = Target("runs", "train-1", parent="exp")
DELETION = Target("computes", "cpu", goal=Goal.GONE)
STATUSES = {kind.kind: kind.statuses for kind in (Runs, Computes, ComputeInstances, Endpoints, Deployments, Models)}
POLICY = Policy(poll_interval=10, timeout=100, unreachable_timeout=60)


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def watch(clock, lines):
    """Make a wait whose looks a test answers."""

    def make(target=RUN, policy=POLICY, **options):
        return Watch(target, policy, log=lines.append, clock=clock, **options)

    return make


def saying(answer):
    """Answer every look with an observation, a status of a run, or an error."""

    def look(target):
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Observation) else Observation.of(STATUSES[target.kind], answer)

    return look


@pytest.mark.parametrize(
    ("kind", "status", "phase"),
    [
        ("runs", "NotStarted", Phase.PENDING),
        ("runs", "Queued", Phase.PENDING),
        ("runs", "Running", Phase.ACTIVE),
        ("runs", "Finalizing", Phase.ACTIVE),
        ("runs", "CancelRequested", Phase.CANCELING),
        ("runs", "NotResponding", Phase.ACTIVE),
        ("runs", "Paused", Phase.ACTIVE),
        ("runs", "Completed", Phase.SUCCEEDED),
        ("runs", "Failed", Phase.FAILED),
        ("runs", "Canceled", Phase.CANCELED),
        ("computes", "Creating", Phase.ACTIVE),
        ("computes", "Succeeded", Phase.SUCCEEDED),
        ("endpoints", "Deleting", Phase.ACTIVE),
        ("deployments", "Scaling", Phase.ACTIVE),
        ("deployments", "Failed", Phase.FAILED),
    ],
)
def test_a_status_means_its_phase_in_any_case(kind, status, phase):
    """Statuses are looked up in their kind's table; the services do not agree on upper and lower case."""
    seen = [Observation.of(STATUSES[kind], spelling) for spelling in (status, status.lower(), status.upper())]
    assert {(each.phase, each.known) for each in seen} == {(phase, True)}


@pytest.mark.parametrize("kind", STATUSES)
def test_a_status_that_nobody_knows_keeps_the_wait_alive(kind, watch, lines):
    """A word that the service adds one day is active, and told about: it never kills a healthy run."""
    target = Target(kind, "x")
    decision = watch(target).step(saying(Observation.of(STATUSES[kind], "Hibernating")))
    assert (decision.verdict, decision.observation.phase) == (Verdict.CONTINUE, Phase.ACTIVE)
    assert lines == [f"{target}: Hibernating (unknown status) after 0 s"]


def test_only_three_ends_of_a_run_are_ends():
    """Finalizing uploads outputs and Paused may go on: neither is taken for an end."""
    ends = {status for status, phase in STATUSES["runs"].items() if phase.terminal}
    assert ends == {"completed", "failed", "canceled", "cancelled"}


@pytest.mark.parametrize(
    ("observation", "elapsed", "goal", "verdict"),
    [
        (Observation(Phase.PENDING, "Queued"), 0, Goal.SUCCEEDED, Verdict.CONTINUE),
        (Observation(Phase.ACTIVE, "Running"), 99, Goal.SUCCEEDED, Verdict.CONTINUE),
        (Observation(Phase.ACTIVE, "Running"), 100, Goal.SUCCEEDED, Verdict.TIMED_OUT),
        (Observation(Phase.SUCCEEDED, "Completed"), 1_000, Goal.SUCCEEDED, Verdict.DONE),
        (Observation(Phase.FAILED, "Failed"), 1_000, Goal.SUCCEEDED, Verdict.FAILED),
        (Observation(Phase.CANCELED, "Canceled"), 0, Goal.SUCCEEDED, Verdict.FAILED),
        (GONE, 0, Goal.SUCCEEDED, Verdict.FAILED),
        (GONE, 1_000, Goal.GONE, Verdict.DONE),
        (Observation(Phase.SUCCEEDED, "Succeeded"), 0, Goal.GONE, Verdict.CONTINUE),
        (Observation(Phase.SUCCEEDED, "Succeeded"), 100, Goal.GONE, Verdict.TIMED_OUT),
        (Observation(Phase.ACTIVE, "Deleting"), 5, Goal.GONE, Verdict.CONTINUE),
        (Observation(Phase.FAILED, "Failed"), 5, Goal.GONE, Verdict.FAILED),
    ],
)
def test_what_an_observation_means_for_a_wait(observation, elapsed, goal, verdict):
    """The verdict follows from phase, goal and time alone; an end that was reached beats a deadline that has passed."""
    decision = decide(observation, elapsed, POLICY, goal)
    assert (decision.verdict, decision.observation) == (verdict, observation)
    assert decision.wait == decide_wait(verdict, elapsed)
    assert decision.limit == ("had not ended after 100 s" if verdict is Verdict.TIMED_OUT else "")


def decide_wait(verdict, elapsed):
    """Seconds to the next look: the interval, or what is left of the deadline."""
    return min(10, 100 - elapsed) if verdict is Verdict.CONTINUE else 0.0


def test_without_a_deadline_a_wait_never_times_out():
    """A training may take weeks."""
    decision = decide(Observation(Phase.ACTIVE, "Running"), 10**7, Policy(poll_interval=10))
    assert (decision.verdict, decision.wait) == (Verdict.CONTINUE, 10)


def test_the_last_look_is_at_the_deadline():
    """The wait before the deadline is cut short, so that a timeout is not noticed late."""
    assert decide(Observation(Phase.ACTIVE, "Running"), 97, POLICY).wait == 3


@pytest.mark.parametrize(
    ("phase", "elapsed", "ran", "limit"),
    [
        (Phase.PENDING, 59, None, ""),
        (Phase.PENDING, 60, None, "had not begun to run after 60 s"),
        (Phase.ACTIVE, 500, 0, ""),
        (Phase.ACTIVE, 500, 29, ""),
        (Phase.ACTIVE, 500, 30, "had not ended after running for 30 s"),
        (Phase.PENDING, 500, 29, ""),  # it ran already, and was preempted
        (Phase.ACTIVE, 1000, 1, "had not ended after 1000 s"),
    ],
)
def test_the_queue_and_the_run_have_limits_of_their_own(phase, elapsed, ran, limit):
    """A long queue does not eat up the time that the run has, nor the other way round."""
    decision = decide(Observation(phase, "x"), elapsed, Policy(10, 1000, queue_timeout=60, run_timeout=30), ran=ran)
    assert decision.limit == limit
    assert decision.verdict is (Verdict.TIMED_OUT if limit else Verdict.CONTINUE)


def test_running_counts_from_what_the_service_says(watch, clock):
    """A wait that another process takes up does not give the run its time once more; without a word, our eyes count."""
    limited = watch(policy=Policy(10, run_timeout=30))
    said = datetime.fromtimestamp(clock.now - 29, UTC).isoformat()
    assert limited.step(saying(Observation(Phase.ACTIVE, "Running", started=said))).verdict is Verdict.CONTINUE
    assert limited.left() == 1
    clock.now += 1
    assert limited.step(saying("Running")).verdict is Verdict.TIMED_OUT
    unsaid = watch(policy=Policy(10, run_timeout=30))
    assert (unsaid.step(saying("Queued")).verdict, unsaid.left()) == (Verdict.CONTINUE, math.inf)
    assert (unsaid.step(saying("Running")).verdict, unsaid.left()) == (Verdict.CONTINUE, 30)


@pytest.mark.parametrize(
    ("said", "began"),
    [("1970-01-01T00:01:00Z", 60), ("1970-01-01T00:01:00.5", 60.5), ("soon", None), (None, None), (7, None)],
)
def test_when_a_run_began_is_read_as_the_service_says_it(said, began):
    """In UTC where no zone is named; what is no time counts as not said."""
    assert Observation(Phase.ACTIVE, "Running", started=said).began == began


def test_what_a_run_waits_for_is_told_whenever_it_changes(watch, clock, lines):
    """A queue that moves is progress, though the status stays."""
    queued = watch()
    for reason in ("position 2", "position 2", "position 1"):
        queued.step(saying(Observation(Phase.PENDING, "Queued", reason)))
        clock.now += 10
    queued.step(saying("Running"))
    assert lines == [
        "run train-1: Queued after 0 s (position 2)",
        "run train-1: Queued after 20 s (position 1)",
        "run train-1: Queued -> Running after 30 s",
    ]


def test_a_wait_tells_each_change_of_status_once(watch, clock, lines):
    """The log shows progress with times, not every look."""
    running = watch()
    for status in ("Queued", "Queued", "Running", "Running", "Completed"):
        running.step(saying(status))
        clock.now += 10
    assert lines == [
        "run train-1: Queued after 0 s",
        "run train-1: Queued -> Running after 20 s",
        "run train-1: Running -> Completed after 40 s",
    ]


def test_the_deadline_outlives_the_process_that_set_it(watch, clock):
    """A wait that another triggerer takes up counts from its first beginning."""
    assert watch(started=clock.now - 100).step(saying("Running")).verdict is Verdict.TIMED_OUT


def test_an_error_that_may_pass_only_makes_the_wait_longer(watch, clock, lines):
    """Polling goes on through an outage that is shorter than the budget, and the run's end is seen after it."""
    outage = watch()
    outage.step(saying("Running"))
    clock.now += 50
    decision = outage.step(saying(ServiceError("busy", operation="get run", status_code=503)))
    assert (decision.verdict, decision.wait) == (Verdict.CONTINUE, 10)
    assert "still waiting: get run failed (HTTP 503): busy" in lines[-1]
    assert outage.step(saying("Completed")).verdict is Verdict.DONE


def test_the_service_says_how_long_to_wait(watch):
    """A Retry-After that is longer than the interval is honoured."""
    assert watch().step(saying(ThrottledError("slow down", retry_after=42.0))).wait == 42.0


def test_a_service_that_stays_away_ends_the_wait_with_its_reason(watch, clock):
    """After the budget of unreachability the wait is given up, and says what was seen last and why."""
    lost = watch()
    lost.step(saying("Running"))
    clock.now += 60
    decision = lost.step(saying(ServiceError("no route")))
    assert decision.verdict is Verdict.UNREACHABLE
    assert decision.observation == Observation(Phase.ACTIVE, "Running", "no route")


def test_an_answer_renews_the_budget_of_unreachability(watch, clock):
    """Two outages with an answer between them are not one long outage."""
    flaky = watch(policy=Policy(10, None, 60))
    verdicts = []
    for answer in (ServiceError("x"), "Running", ServiceError("x"), ServiceError("x")):
        clock.now += 40
        verdicts.append(flaky.step(saying(answer)).verdict)
    assert verdicts == [Verdict.CONTINUE, Verdict.CONTINUE, Verdict.CONTINUE, Verdict.UNREACHABLE]


def test_what_another_has_seen_renews_the_budget_too(watch, clock):
    """A trigger is told by its poller; one failed look at its deadline must not count the hours before as an outage."""
    told = watch(policy=Policy(10, 3600, 60))
    clock.now += 3600
    told.judge(Observation(Phase.ACTIVE, "Running"))
    assert told.step(saying(ServiceError("x"))).verdict is Verdict.TIMED_OUT


def test_a_deadline_passes_during_an_outage_too(watch, clock):
    """The timeout ends the wait even while nobody answers."""
    late = watch(policy=Policy(10, 30, 600))
    clock.now += 31
    assert late.step(saying(ServiceError("x"))).verdict is Verdict.TIMED_OUT


def test_a_permanent_error_ends_the_wait_at_once(watch):
    """Looking again cannot help when the credential or the address is wrong."""
    with pytest.raises(NotFoundError):
        watch().step(saying(NotFoundError("no such workspace")))


def test_a_deletion_is_done_when_the_thing_is_gone(watch, lines):
    """A deletion that was accepted may show the last good state for a while; only being gone is its end."""
    deletion = watch(DELETION)
    verdicts = [deletion.step(saying(answer)).verdict for answer in ("Succeeded", "Deleting", GONE)]
    assert verdicts == [Verdict.CONTINUE, Verdict.CONTINUE, Verdict.DONE]
    assert lines[-1] == "compute cpu: Deleting -> NotFound after 0 s"


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("seen", [Observation(phase, phase) for phase in Phase])
def test_a_wait_that_timed_out_ended_well_only_if_its_goal_is_reached(goal, seen):
    """A machine that should have stopped and still runs, or a resource that is not gone, is no success."""
    timed_out = Decision(Verdict.TIMED_OUT, Observation(Phase.ACTIVE, "x"), limit="had not ended after 1 s")
    reached = decide(seen, 0, Policy(), goal).verdict is Verdict.DONE
    decision = timed_out.after_cancel(seen, goal)
    assert decision.verdict is (Verdict.DONE if reached else Verdict.TIMED_OUT)
    assert decision.observation is seen


@pytest.mark.parametrize(
    "target",
    [
        RUN,
        DELETION,
        Target("deployments", "blue", parent="e", operation=Operation("https://arm/op?t=1", "status", 2.5)),
    ],
)
def test_a_target_survives_a_database(target):
    """A target is a trigger's argument: plain JSON in, the same target out."""
    stored = json.dumps(msgspec.to_builtins(target))
    assert msgspec.convert(json.loads(stored), Target) == target
    assert hash(msgspec.convert(json.loads(stored), Target)) == hash(target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (RUN, "run train-1"),
        (DELETION, "compute cpu"),
        (Target("compute_instances", "ci"), "compute instance ci"),
        (Target("deployments", "blue", "shop"), "deployment blue"),
    ],
)
def test_a_target_says_what_it_is(target, words):
    """One resource is called by the singular of its kind."""
    assert str(target) == words


@pytest.mark.parametrize("verdict", Verdict)
def test_a_decision_survives_a_database(verdict):
    """A decision is a trigger's event; the wait it asked for is over by then."""
    decision = Decision(verdict, Observation(Phase.FAILED, "Failed", "exit code 1"), limit="had not ended after 1 s")
    assert msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(decision))), Decision) == decision
