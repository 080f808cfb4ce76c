"""References to assets, in the forms that people write: ``name:version``, ``azureml:name:version`` or an ARM id."""

from __future__ import annotations

from airflow_azml.client.names import check
from airflow_azml.client.transport.errors import InputError


def full_id(reference: object) -> str:
    """Return an ARM id, or a reference into a registry, as the service takes it; empty for anything shorter."""
    text = reference if isinstance(reference, str) else ""
    if text.startswith("azureml://"):
        return text
    id_ = text.removeprefix("azureml:")
    return id_ if id_.startswith("/") else ""


def name_and_version(
    reference: object, field: str, kind: str = "asset_name", forms: str = "name:version or an ARM id"
) -> tuple[str, str]:
    """Return what ``name:version`` names, or raise InputError.

    :param field: what the caller calls it, for messages.
    :param kind: the rule that the name follows, see :data:`airflow_azml.client.names.RULES`.
    :param forms: in which a reference may be given here, for messages.
    """
    name, colon, version = (
        reference.removeprefix("azureml:").rpartition(":") if isinstance(reference, str) else [""] * 3
    )
    if not colon:
        raise InputError(field, reference, f"must be {forms}")
    try:
        return check(field, name, kind), check(field, version, "model_version")
    except InputError as error:
        raise InputError(field, reference, f"must be {forms}: {error.value!r} {error.rule}") from None
