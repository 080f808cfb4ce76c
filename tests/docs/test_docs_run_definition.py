"""docs/run-definition.md: it names every key that the client accepts, and its example is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from airflow_azml.client.specs import run_definition as definitions

PAGE = (Path(__file__).parents[2] / "docs" / "run-definition.md").read_text()
TEXT = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
NAMED = {word for code in re.findall(r"`([^`]+)`", TEXT) for word in re.findall(r"\w+", code)}


def keys(table: definitions.Table) -> set[str]:
    """Return the keys of a table, and of those below it."""
    return set(table).union(*(keys(below) for below in table.values() if below))


def test_every_key_is_explained() -> None:
    """A key that the client begins to accept has to be written about, except what only other engines have."""
    engines = {"workerCount", "parameterServerCount", "processCountPerNode", "yarnDeployMode", "useDocker"}
    spark = {"repositories", "packages", "precachePackages"}
    assert keys(definitions._DEFINITION) - NAMED == engines | spark


def test_its_examples_are_accepted(tmp_path: Path) -> None:
    """As they stand on the page."""
    whole, short = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    definition = definitions.run_definition(yaml.safe_load(whole))
    assert definition["configuration"]["script"] == "train.py"
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.11]")
    described = {"script": "train.py", **yaml.safe_load(short)}
    environment = definitions.run_definition(described, folders=[tmp_path])["configuration"]["environment"]
    assert environment["python"]["condaDependencies"] == {"dependencies": ["python=3.11"]}
