"""docs/connection.md: its tables have every field, credential and cloud of a connection, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_azml.client.transport.clouds import CLOUDS
from airflow_azml.hooks.connection import CREDENTIALS
from airflow_azml.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR

PAGE = (Path(__file__).parents[2] / "docs" / "connection.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its first two rows."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in re.findall(r"^\|.+$", section, re.MULTILINE)[2:]]


def test_every_field_is_explained_under_both_names() -> None:
    """The label of the form and the key in JSON stand in one row, in the same order."""
    shown = {
        key: label
        for labels, keys, _ in rows("Fields")
        for label, key in zip(labels.split(", "), re.findall(r"`(\w+)`", keys), strict=True)
    }
    expected = {name: str(field["label"]) for name, field in CONNECTION_FIELDS.items()}
    assert shown == expected | FIELD_BEHAVIOUR["relabeling"]  # type: ignore[operator]  # one of its values is a list


def test_every_credential_is_listed_with_the_fields_that_it_needs() -> None:
    """As the hook asks for them."""
    labels = {name: str(field["label"]) for name, field in CONNECTION_FIELDS.items()}
    labels |= {"client_id": "Client ID", "client_secret": "Client secret"}
    expected = {name: ", ".join(labels[field] for field in fields) or "none" for name, fields in CREDENTIALS.items()}
    assert {name.strip("`"): needed for name, needed, _ in rows("Credentials")} == expected


def test_every_cloud_is_listed() -> None:
    """With `Custom`, which has no addresses of its own."""
    assert set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("Clouds")))) == {*CLOUDS, "Custom"}
