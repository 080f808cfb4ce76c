"""Conda specifications: what is installed by conda where it is installed, else which PyPI packages stand for it.

A name that PyPI has under the same or another name is in the table beside this file. Any other name fails the
environment: on Azure a typo does so, too.
"""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLE = Path(__file__).with_name("conda_packages.txt")
TOOLS = ("micromamba", "mamba", "conda")
BOUND = re.compile(r"(?P<operator>~=|==|!=|>=|<=|=|>|<|)\s*(?P<version>\d[\w.!+-]*?)(?P<any>\.?\*)?")
# Name, bounds of the version, build: `conda-forge::numpy >=1.2,<2`, `numpy=1.26`, `numpy=1.26.4=py311h64a7726_0`.
SPECIFICATION = re.compile(
    r"(?:[\w./-]+::)?(?P<name>[\w.-]+)\s*(?P<version>[~=!<>]*\s*[^\s=,<>!~\[\]]+(?:\s*,\s*[~=!<>]+\s*[^\s=,<>!~\[\]]+)*)?"
    r"(?:(?:=|\s+)[\w.*]+)?"
)


class EnvironmentBuildError(Exception):
    """The environment could not be built; the message says why."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an environment is built of.

    :param packages: lines as of a requirements file.
    :param conda: YAML for the conda tool; empty when a virtual environment will do.
    :param notes: sentences about what is replaced or cannot be honoured.
    """

    packages: tuple[str, ...] = ()
    conda: str = ""
    notes: tuple[str, ...] = ()


def tool() -> str | None:
    """Return the program of conda's kind that is installed here."""
    return next(filter(None, map(shutil.which, TOOLS)), None)


def _plain_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].casefold().replace("_", "-")


def command(folder: Path, file: Path) -> list[str]:
    """Return the command that makes an environment of a specification.

    :param folder: of the environment.
    :param file: that holds the specification.
    """
    program = tool()
    if program is None:
        raise EnvironmentBuildError("The conda that was here is not installed any more.")
    words = ["create", "--yes"] if Path(program).name == TOOLS[0] else ["env", "create", "--quiet"]
    return [program, *words, "--prefix", str(folder), "--file", str(file)]


def read(specification: Any, extra: Iterable[str] = ()) -> Requirements:
    """Read a conda specification. Raises EnvironmentBuildError.

    :param extra: PyPI packages that the environment needs beyond those.
    """
    dependencies = specification.get("dependencies") if isinstance(specification, dict) else None
    entries = dependencies if isinstance(dependencies, list) else []
    pip = [str(line) for entry in entries if isinstance(entry, dict) for line in entry.get("pip") or []]
    pip += [package for package in extra if _plain_name(package) not in map(_plain_name, pip)]
    wanted = [str(entry).strip() for entry in entries if not isinstance(entry, dict)]
    needed = [entry for entry in wanted if not _is_here(entry)]
    if needed and tool():
        return Requirements((), _for_tool(specification, wanted, pip))
    found = [_mapped(entry) for entry in needed]
    packages = [package for package, _ in found if package]
    return Requirements((*packages, *pip), "", tuple(note for _, note in found))


@cache
def _table() -> dict[str, str]:
    """Return the packages of PyPI by conda's names; empty where none is needed."""
    lines = (line.split() for line in TABLE.read_text().splitlines() if not line.startswith("#"))
    return {name: (other or [name])[0].strip("-") for name, *other in lines}


def _is_here(entry: str) -> bool:
    """Tell whether every virtual environment has it: pip, and this Python."""
    name, bounds = _parts(entry)
    try:
        fits = bounds is not None and SpecifierSet(bounds).contains(platform.python_version())
    except InvalidSpecifier:
        fits = False
    return name == "pip" or (name == "python" and fits)


def _for_tool(specification: dict[str, Any], wanted: list[str], pip: list[str]) -> str:
    named = {_parts(entry)[0] for entry in wanted}
    # Without these, conda would take the newest Python, and the pip of some other environment.
    wanted += [default for default in (f"python={'.'.join(platform.python_version_tuple()[:2])}", "pip")
               if default.partition("=")[0] not in named]  # fmt: skip
    channels = specification.get("channels") or ["conda-forge"]
    return yaml.safe_dump({"channels": channels, "dependencies": [*wanted, {"pip": pip}] if pip else wanted})


def _mapped(entry: str) -> tuple[str, str]:
    """Return the PyPI package for a conda package (empty when none is needed), and a sentence that says so."""
    name, bounds = _parts(entry)
    if name == "python":
        return "", f"conda asks for '{entry}': this is Python {platform.python_version()}."
    package = _table().get(name)
    if package == "":
        return "", f"conda package '{entry}' is not installed: PyPI's packages bring their own native libraries."
    if package is None or bounds is None:
        raise EnvironmentBuildError(
            f"The conda package '{entry}' {'cannot be read' if package else 'is not known'}, and no conda is installed "
            "here. Correct it, name it under 'pip', or install micromamba, mamba or conda where the emulator runs."
        )
    return package + bounds, f"conda package '{entry}' is installed from PyPI as '{package + bounds}'."


def _parts(entry: str) -> tuple[str, str | None]:
    """Return a conda package's name, and its version in pip's words; None when pip has no words for it."""
    match = SPECIFICATION.fullmatch(entry)
    if match is None:
        return re.split(r"[^\w.:-]", entry)[0], None
    bounds = [BOUND.fullmatch(text.strip()) for text in (match["version"] or "").split(",") if text]
    return match["name"].casefold(), ",".join(map(_in_pips_words, filter(None, bounds))) if all(bounds) else None


def _in_pips_words(bound: re.Match[str]) -> str:
    """Translate one bound: `=1.2` and `1.2.*` mean 1.2 and all that begin with it, `1.2` and `==1.2` only that."""
    operator = bound["operator"] or "=="
    fuzzy = bound["any"] or operator == "="
    operator = "==" if operator == "=" else operator
    return f"{operator}{bound['version']}{'.*' if fuzzy and operator in {'==', '!='} else ''}"
