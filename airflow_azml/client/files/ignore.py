"""The rules of ignore files, read as git reads them.

https://git-scm.com/docs/gitignore says how, and git's wildmatch.c what that means in every corner. Each entry of a
folder is compared with the rules on its own, from the last rule to the first, and a folder that is excluded is not
entered. git compares bytes, and so does this module.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from airflow_azml.client.transport.text_files import read_text

if TYPE_CHECKING:
    from pathlib import Path

_SPECIAL = re.compile(rb"[*?\[\\]")
_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"!-~",
    b"lower": rb"a-z",
    b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t-\r",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}


class _NeverMatchesError(ValueError):
    """The pattern is malformed: git lets it match nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of an ignore file.

    :param text: the line.
    :param where: file and line number, for people.
    :param excludes: False for a line that begins with ``!``.
    :param folders_only: it ends with a slash.
    :param whole_path: it has a slash elsewhere, so that it is compared with the path, not with the name alone.
    :param pattern: what it matches.
    """

    text: str
    where: str
    excludes: bool
    folders_only: bool
    whole_path: bool
    pattern: re.Pattern[bytes]

    @classmethod
    def read(cls, line: str, where: str) -> Self | None:
        """Read a line; None when it is empty, a comment, or matches nothing."""
        text = line.removesuffix("\r")
        if not text or text.startswith("#"):
            return None
        glob = _without_trailing_spaces(text).encode()
        excludes = not glob.startswith(b"!")
        glob = glob[not excludes :]
        folders_only = glob.endswith(b"/")
        glob = glob[: len(glob) - folders_only]
        whole_path = b"/" in glob
        try:
            pattern = re.compile(_regex(glob.removeprefix(b"/"), whole_path=whole_path), re.DOTALL)
        except _NeverMatchesError:
            return None
        return cls(text, where, excludes, folders_only, whole_path, pattern)

    def matches(self, path: bytes, *, is_folder: bool) -> bool:
        """Say whether the rule is about an entry itself; a folder's rule is not about what is below it."""
        compared = path if self.whole_path else path.rpartition(b"/")[2]
        return (is_folder or not self.folders_only) and self.pattern.fullmatch(compared) is not None

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that are in force in a folder.

    :param name: of the ignore files.
    :param files: the rules of each ignore file on the way down, with the length of its folder's path.
    """

    name: str
    files: tuple[tuple[int, tuple[Rule, ...]], ...] = ()

    def below(self, folder: Path, path: str) -> IgnoreRules:
        """Return the rules in force in a folder, which may have an ignore file of its own.

        :param path: of the folder, empty for the topmost, else with a slash at its end.
        """
        file = folder / self.name
        if not file.is_file():
            return self
        lines = enumerate(read_text("folder", file).split("\n"), 1)
        read = [Rule.read(line, f"{path}{self.name}:{number}") for number, line in lines]
        rules = tuple(rule for rule in reversed(read) if rule)  # the last one decides
        return IgnoreRules(self.name, ((len(os.fsencode(path)), rules), *self.files))

    def decisive(self, path: str, *, is_folder: bool) -> Rule | None:
        """Return the rule that decides about an entry: the last that matches it, of the nearest file that has one."""
        encoded = os.fsencode(path)
        return next(
            (
                rule
                for start, rules in self.files
                for rule in rules
                if rule.matches(encoded[start:], is_folder=is_folder)
            ),
            None,
        )


def _without_trailing_spaces(text: str) -> str:
    """Return a line without the spaces at its end that no backslash keeps."""
    kept = re.match(r"(?s)(?:\\.|[^\\ ]| +(?=[^ ])|\\$)*", text)
    return kept[0] if kept else text


def _regex(glob: bytes, *, whole_path: bool) -> bytes:
    """Translate a glob: git's wildmatch, in which a star of a whole path stops at a slash and two stars may not."""
    special = _SPECIAL.search(glob)
    literal = special.start() if special else len(glob)
    position, regex = literal, re.escape(glob[:literal])
    any_byte = b"[^/]" if whole_path else b"."
    while position < len(glob):
        if glob[position] == ord("*"):
            after = len(glob) - len(glob[position:].lstrip(b"*"))
            # git compares what comes before the first special character by itself: the rest is a pattern of its own.
            begins = position == literal or glob[position - 1 : position] == b"/"
            part, position = _stars(glob, position, after, begins=begins, whole_path=whole_path)
        elif glob[position] == ord("?"):
            part, position = any_byte, position + 1
        elif glob[position] == ord("["):
            members, position = _members(glob, position + 1)
            part = (rb"(?!/)" if whole_path else b"") + members
        else:
            position += glob[position] == ord("\\")
            if position == len(glob):
                raise _NeverMatchesError
            part, position = re.escape(glob[position : position + 1]), position + 1
        regex += part
    return regex


def _stars(glob: bytes, position: int, after: int, *, begins: bool, whole_path: bool) -> tuple[bytes, int]:
    """Return the regular expression of stars, and where the glob goes on."""
    if not whole_path:
        return b".*", after
    rest = glob[after:]
    if after - position > 1 and begins and (not rest or rest.startswith((b"/", b"\\/"))):
        return (b"(?:.*/)?", after + 1) if rest.startswith(b"/") else (b".*", after)
    return b"[^/]*", after


def _members(glob: bytes, position: int) -> tuple[bytes, int]:
    """Return the regular expression of a bracket, and where the glob goes on; see dowild() of git's wildmatch.c."""
    negated = glob[position : position + 1] in {b"!", b"^"}
    position += negated
    members: list[bytes] = []
    previous: bytes | None = None  # may begin a range
    first = True
    while first or glob[position : position + 1] != b"]":
        first = False
        char = glob[position : position + 1]
        if char == b"-" and previous and glob[position + 1 : position + 2] not in {b"", b"]"}:
            end, position = _character(glob, position + 1)
            members.append(_range(previous, end))
            previous = None
        elif char == b"[" and (named := re.compile(rb"\[:([^\]]*):\]").match(glob, position)):
            if named[1] not in _CLASSES:
                raise _NeverMatchesError
            members.append(_CLASSES[named[1]])
            previous, position = None, named.end()
        else:
            previous, position = _character(glob, position)
            members.append(re.escape(previous))
    chosen = b"".join(members)
    if not chosen:  # nothing but ranges from a later to an earlier character
        return (b"." if negated else b"(?!)"), position + 1
    return (b"[^" if negated else b"[") + chosen + b"]", position + 1


def _character(glob: bytes, position: int) -> tuple[bytes, int]:
    """Return a character in a bracket, which a backslash may stand before, and where the glob goes on."""
    position += glob[position : position + 1] == b"\\"
    if position >= len(glob):
        raise _NeverMatchesError
    return glob[position : position + 1], position + 1


def _range(first: bytes, last: bytes) -> bytes:
    return re.escape(first) + b"-" + re.escape(last) if first <= last else b""
