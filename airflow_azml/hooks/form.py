"""The connection form for Airflow 3.1, which asks the hook for it; later versions read the provider's metadata.

Both come from the same table. wtforms is no dependency: Airflow 3.1 replaces it by classes of its own.
"""

from __future__ import annotations

from typing import Any

from airflow_azml.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR


def form_widgets() -> dict[str, Any]:
    """Return a field of wtforms for each extra field of the connection."""
    return {name: _widget(**field) for name, field in CONNECTION_FIELDS.items()}


def field_behaviour() -> dict[str, Any]:
    """Return which standard fields are hidden and which are renamed."""
    return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}


def _widget(label: str, description: str, schema: dict[str, Any]) -> Any:
    from wtforms import PasswordField, StringField  # type: ignore[import-untyped]  # noqa: PLC0415 - only Airflow 3.1
    from wtforms.validators import Optional, any_of  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise

    field = PasswordField if schema.get("format") == "password" else StringField
    choice = [any_of(schema["enum"])] if "enum" in schema else []
    return field(label, validators=[Optional(), *choice], description=description, default=schema.get("default"))
