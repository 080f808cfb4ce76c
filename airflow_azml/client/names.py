"""The service's rules for names, checked before anything is sent, and ids that we choose ourselves.

The patterns are those of the published OpenAPI files where they have one, else of Microsoft's own clients.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from airflow_azml.client.transport.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPUTE = (
    re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])"),
    "2 to 32 letters, digits or '-', starting with a letter, not ending in '-'",
)
_RUN = (
    re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}"),
    "1 to 256 letters, digits, '_' or '-', starting with a letter or digit",
)
_ASSET = (
    re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}"),
    "1 to 255 letters, digits, '_' or '-', starting with a letter or digit",
)
_MODEL = (
    re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}"),
    "1 to 255 letters, digits, '-', '.' or '_', starting with a letter or digit",
)
_VERSION = (
    re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}"),
    "a version such as 3: letters, digits, '-', '.' or '_', starting with a letter or digit",
)
_ENDPOINT = (
    re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{1,30}[a-zA-Z0-9])"),
    "3 to 32 letters, digits or '-', starting with a letter, not ending in '-'",
)
_SLUG = re.compile(r"[^a-zA-Z0-9]+")
_HASH_CHARACTERS = 12


def check_compute_name(value: str, field: str = "compute_name") -> str:
    """Return the name of a compute, or raise InputError."""
    return _check(field, value, *_COMPUTE)


def check_run_id(value: str, field: str = "run_id") -> str:
    """Return the id of a run, or raise InputError."""
    return _check(field, value, *_RUN)


def check_experiment_name(value: str, field: str = "experiment_name") -> str:
    """Return the name of an experiment, or raise InputError."""
    return _check(field, value, *_ASSET)


def check_asset_name(value: str, field: str = "name") -> str:
    """Return the name of a job, environment or other asset, or raise InputError."""
    return _check(field, value, *_ASSET)


def check_model_name(value: str, field: str = "model_name") -> str:
    """Return the name of a model, or raise InputError."""
    return _check(field, value, *_MODEL)


def check_model_version(value: str, field: str = "model_version") -> str:
    """Return the version of a model, or raise InputError."""
    return _check(field, value, *_VERSION)


def check_endpoint_name(value: str, field: str = "endpoint_name") -> str:
    """Return the name of an online endpoint, or raise InputError."""
    return _check(field, value, *_ENDPOINT)


def check_deployment_name(value: str, field: str = "deployment_name") -> str:
    """Return the name of an online deployment, or raise InputError."""
    return _check(field, value, *_ENDPOINT)


def deterministic_id(slug_parts: Iterable[str], *identity: object, max_length: int = 100) -> str:
    """Return an id that is the same for the same identity and valid as a run id, a job id and an experiment name.

    :param slug_parts: what a person should recognise in it; they do not make it unique.
    :param identity: what makes it unique; strings and numbers.
    :param max_length: characters at most.
    """
    digest = hashlib.sha256(json.dumps([str(part) for part in identity]).encode()).hexdigest()[:_HASH_CHARACTERS]
    slug = _SLUG.sub("-", "-".join(slug_parts)).strip("-")[: max_length - _HASH_CHARACTERS - 1].strip("-")
    return f"{slug}-{digest}" if slug else f"r{digest}"


def _check(field: str, value: str, pattern: re.Pattern[str], rule: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InputError(field, value, f"must be {rule}")
    return value
