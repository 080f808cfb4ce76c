"""README.md: the files of the first DAG are those of the example, and the DAG runs from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<content>.*?)^```$', re.MULTILINE | re.DOTALL)


def test_the_files_of_the_first_dag_are_shown_as_they_are() -> None:
    """Each file of dags/first stands in the README, word for word."""
    shown = {file["name"]: file["content"] for file in FILE.finditer((ROOT / "README.md").read_text())}
    files = [path for path in (ROOT / "dags" / "first").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert shown == {str(path.relative_to(ROOT)): path.read_text() for path in files}


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"], ids=lambda page: page.name)
def test_no_link_of_a_page_is_dead(page: Path) -> None:
    """Links into the repository lead to files, and their fragments to headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not fragment or fragment in anchors(file.read_text()), target


def anchors(text: str) -> set[str]:
    """Return the fragments that a page's headings have, as they are made on the usual sites."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
