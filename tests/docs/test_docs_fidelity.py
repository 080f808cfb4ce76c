"""docs/emulator-fidelity.md has every operation of the emulator, no other, and names no step that nobody makes."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from docs_fidelity import operations

from airflow_azml.emulator.host import not_offered
from airflow_azml.emulator.host.not_offered import instead_of
from airflow_azml.emulator.host.route_list import rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "emulator-fidelity.md").read_text()
OFFERED, NOT_OFFERED = PAGE.split("## Not offered")
ROWS = [row.split(" | ") for row in re.findall(r"^\| (.+) \|$", OFFERED, re.MULTILINE) if "`" in row]
TOOL = str(ROOT / "tools" / "not_offered.py")
TOOL_GLOBALS = runpy.run_path(TOOL)
CHECKS = {"unit", "shapes", "OpenAPI", "v1 SDK", "v2 SDK", "mlflow-skinny", "-"}


def test_every_operation_has_one_row():
    """Each handler's spellings stand together in one row, and no row is of something else."""
    rows = sorted(sorted(re.findall(r"`([^`]+)`", row[1])) for row in ROWS)
    assert rows == sorted(sorted(requests) for requests in operations().values())


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_rows_say_how_they_are_checked(row):
    """Four columns; the last one lists checks that exist."""
    assert len(row) == 4
    assert set(row[3].split(", ")) <= CHECKS


WITHOUT_ROUTE = re.findall(r"`([^`]+)`", PAGE.partition("not_offered.py: published")[2].partition("<!-- end")[0])


def test_what_is_listed_as_not_offered_has_no_route():
    """Who adds a route takes its operation out of the table (tools/not_offered.py)."""
    offered = {request for requests in operations().values() for request in requests}
    for request in WITHOUT_ROUTE:
        verbs, _, path = request.rpartition(" ")
        for other, address in (each.split(" ") for each in offered):
            if not verbs:
                assert not address.startswith(path.removesuffix("...")), address
            elif set(verbs.split("/")) & set(other.split("/")):
                assert re.sub(r"{\w+}", "{}", address).casefold() != re.sub(r"{\w+}", "{}", path).casefold(), address
    assert len(WITHOUT_ROUTE) > 20


def test_every_published_operation_without_a_route_is_listed():
    """The tables are those that the tool makes of the published files, the routes and the alternatives."""
    assert subprocess.run([sys.executable, TOOL, "--check"], check=False, timeout=120).returncode == 0


def test_every_published_operation_without_a_route_has_an_alternative():
    """What to use instead is known of each; and nothing that the emulator does is said not to be offered."""
    for method, path, name in TOOL_GLOBALS["published"]():
        offered = TOOL_GLOBALS["has_route"](method, path)
        assert bool(instead_of(method, re.sub(r"{\w+}", "x", path))) is not offered, (method, path, name)
    for row in rows():
        for method in row.methods.split("/"):
            assert instead_of(method, re.sub(r"{\w+}", "x", row.path)) == "", row


def test_the_list_of_routes_has_all_that_is_done_and_not_done():
    """`airflow-azml emulator --routes` prints method, path, plane and api-versions, and what to use instead."""
    command = [sys.executable, "-m", "airflow_azml.emulator", "--routes"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    lines = [re.split(r"\s{2,}", line) for line in printed]
    assert {(line[0], line[1]) for line in lines} >= {(row.methods, row.path) for row in rows()}
    assert ["PUT", ".../computes/{name}", "arm", "2018-11-19 on"] in [line[:4] for line in lines]
    assert ["all", ".../batchEndpoints/...", "501: use online endpoints, or a run that scores"] in lines
    assert len(lines) == 1 + len(list(rows())) + sum(len(each.requests()) for each in not_offered.NOT_OFFERED)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/jobs/j"),
        ("GET", "/batchEndpoints"),
        ("GET", "/components"),
        ("POST", "/computes/cpu/listKeys"),
    ],
)
def test_what_is_not_offered_says_so_by_name(emulator, method, path):
    """The first column of the last table is true: 501, with method and path."""
    answer = emulator.arm(method, path, json={})
    assert answer.status_code == 501
    assert f"{method} " in answer.json()["error"]["message"]
    assert path.split("/")[1] in answer.json()["error"]["message"]
    assert " Use " in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("modelmanagement/v1.0", "/services"),
        ("hyperdrive/v1.0", "/jobs"),
        ("execution/v1.0", "/experiments/e/localrun"),
        ("pipelines/v1.0", "/pipelines"),
        ("environment/v1.0", "/environments/e"),
        ("content/v2.0", "/snapshots/uri/00000000-0000-0000-0000-000000000009"),
    ],
)
def test_classic_services_that_are_not_offered_say_so(emulator, service, path):
    """Likewise for the regional services."""
    assert emulator.regional("POST", service, path, json={}).status_code == 501
    assert service in NOT_OFFERED
