"""docs/exactly-once.md: what it says is shown by a test, is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def test_every_test_that_is_named_exists():
    """A test that was renamed must not leave a promise behind that nobody shows."""
    named = set(NAMED.findall((ROOT / "docs" / "exactly-once.md").read_text()))
    modules = {path.name: ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")}
    there = {(name, node.name) for name, module in modules.items() for node in module.body if _is_test(node)}
    assert len(named) > 20
    assert named <= there


def test_every_situation_is_on_the_page():
    """A system test of these files that the page does not name shows something that nobody can find."""
    page = (ROOT / "docs" / "exactly-once.md").read_text()
    for file in ("exactly_once", "restarts", "cancel"):
        module = ast.parse((ROOT / "tests" / "system" / f"test_system_{file}.py").read_text())
        missing = [node.name for node in module.body if _is_test(node) and f"::{node.name}`" not in page]
        assert not missing


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
