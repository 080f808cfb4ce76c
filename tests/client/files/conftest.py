"""A small project folder."""

from __future__ import annotations

import pytest


@pytest.fixture
def project(tmp_path):
    """A small project with a package below it."""
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "pkg" / "model.py").write_text("x = 1")
    (folder / "data.csv").write_text("1,2")
    return folder
