"""Every answer of the emulator has the form in which the real service was recorded to give it.

Where the recordings have something that the emulator does not do, or does otherwise for a reason, DEPARTURES says why.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from emulator_process import EmulatorProcess
from shapes_traffic import Answer, Traffic

SHAPES = Path(__file__).parents[3] / "shared" / "azure" / "shapes" / "shapes.py"

WORKSPACE = "/subscriptions/{sub}/resourceGroups/{rg}/providers/Microsoft.MachineLearningServices/workspaces/{ws}"
pytestmark = [
    pytest.mark.skipif(
        not SHAPES.exists(), reason=f"the recordings of the service are not on this machine (expected in {SHAPES})"
    ),
    pytest.mark.timeout(600),  # one of the answers is that of a deployment, whose environment is built first
]


@dataclass(frozen=True)
class Departure:
    """A difference from the recordings that is meant.

    :param answer: method, path and status, with `...` for the path of the workspace.
    :param where: the member or the header.
    :param why: the reason.
    """

    answer: str
    where: str
    why: str


DEPARTURES = (
    Departure(
        "PATCH .../computes/{name} 202",
        "properties.resourceId",
        "the one recorded PATCH is of a compute that was attached; those of the emulator are made by the workspace, "
        "and all 2,242 recorded GETs of such computes answer null",
    ),
    Departure(
        "DELETE .../computes/{name} 204",
        "DELETE .../computes/{name}",
        "no recording deletes a compute that is not there; Resource Manager's rule for it is 204",
    ),
)


@pytest.fixture(scope="module")
def recorded() -> Any:
    """The checker of the recordings."""
    specification = importlib.util.spec_from_file_location("recorded_shapes", SHAPES)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answer]]:
    """Everything that the emulator answers in `--speed real`; only what takes minutes there is made short."""
    emulator = EmulatorProcess(tmp_path_factory.mktemp("shapes") / "data").start("--speed", "real")
    try:
        emulator.control("POST", "speed", json={"compute": 0.5, "node": 0.5, "endpoint": 0.5}).raise_for_status()
        yield Traffic(emulator).everything()
    finally:
        emulator.stop()


def differences(recorded: Any, answers: list[Answer]) -> dict[tuple[str, str], str]:
    """Return answer and place of each difference, with what differs."""
    found = {}
    for answer in answers:
        path = recorded.template(answer.url)[1].replace(WORKSPACE, "...")
        for each in recorded.check(answer.method, answer.url, answer.status, answer.headers, answer.body):
            if each["level"] != "note":
                place = each["where"].replace(WORKSPACE, "...")
                found[f"{answer.method} {path} {answer.status}", place] = f"{each['what']} (seen {each['seen']} times)"
    return found


def test_answers_have_the_recorded_form(recorded: Any, answers: list[Answer]) -> None:
    """No difference is without a reason, and no reason is without a difference."""
    explained = {(departure.answer, departure.where) for departure in DEPARTURES}
    found = differences(recorded, answers)
    assert {key: what for key, what in found.items() if key not in explained} == {}
    assert explained <= set(found)


def test_what_is_recorded_is_asked_for(recorded: Any, answers: list[Answer]) -> None:
    """Most requests are of operations that the recordings have: else the other test would prove little."""
    unknown = sum(
        each["what"] == "no such operation in the recordings"
        for answer in answers
        for each in recorded.check(answer.method, answer.url, answer.status, answer.headers, answer.body)
    )
    assert len(answers) > 150
    assert unknown < len(answers) / 5


def test_the_service_is_never_said_to_ask_for_a_wait(answers: list[Answer]) -> None:
    """None of the 45,013 recorded answers had a Retry-After."""
    assert [answer.url for answer in answers if "Retry-After" in answer.headers] == []
