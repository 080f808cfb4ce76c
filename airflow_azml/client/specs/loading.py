"""Definitions and specs as people write them: a dict, or a ``.json``, ``.yml`` or ``.yaml`` file.

A mistake in a file is reported before anything is sent, with the file's name and the line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.transport.text_files import read_text
from airflow_azml.client.values import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def load(
    source: Mapping[str, Any] | str | Path, field: str, render: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """Return a copy of a dict, or what a JSON or YAML file holds.

    :param field: what the caller calls it, for messages.
    :param render: applied to the file's text before it is parsed.
    """
    if not isinstance(source, str | Path):
        return mapping(field, source)
    path = Path(source)
    text = read_text(field, path)
    content = _parse(path, render(text) if render else text, field)
    if not isinstance(content, dict):
        raise InputError(field, str(source), f"must hold an object, not {type(content).__name__}")
    return content


def read_yaml(text: str, field: str, called: str | None = None) -> Any:
    """Return what YAML text holds; a date stays the text as which it was written, for JSON knows no dates.

    :param field: what the caller calls it, for messages.
    :param called: the name of the file, for messages.
    """
    import yaml  # noqa: PLC0415 - importing the client must not load it

    class DatesAreText(yaml.SafeLoader):
        pass

    DatesAreText.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))
    try:
        return yaml.load(text, DatesAreText)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(field, called, f"does not parse: line {line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:  # a control character, a number that is none: no line is known
        raise InputError(field, called, f"does not parse: {' '.join(str(error).split())}") from error


def write_yaml(value: Any) -> str:
    """Return a value as YAML text."""
    import yaml  # noqa: PLC0415 - importing the client must not load it

    return str(yaml.safe_dump(value, sort_keys=False))


def _parse(path: Path, text: str, field: str) -> Any:
    match path.suffix.lower():
        case ".json":
            return _read_json(path, text, field)
        case ".yml" | ".yaml":
            return read_yaml(text, field, str(path))
    raise InputError(field, str(path), "must be a .json, .yml or .yaml file")


def _read_json(path: Path, text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(field, str(path), f"does not parse: line {error.lineno}: {error.msg}") from error
    except ValueError as error:
        raise InputError(field, str(path), f"does not parse: {' '.join(str(error).split())}") from error
