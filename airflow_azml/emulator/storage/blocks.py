"""Blocks: parts of blobs that wait, under a name of their own, until a block list makes them a blob.

As in the service, a list may name blocks that were put before it (`Uncommitted`), blocks that the blob already has
(`Committed`), or whichever is newer (`Latest`); blocks that nobody commits are kept for a week.
"""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.streams import read
from airflow_azml.emulator.storage.blobs import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_azml.emulator.storage.blobs import Blob, BlobStore

FOLDER = ".blocks"  # no container can have this name
KEPT_SECONDS = 7 * 24 * 3600
MAX_ID, MAX_BLOCKS, MAX_LIST = 64, 50_000, 16 << 20  # bytes of an id, blocks of a blob, bytes of a list
COMMITTED, UNCOMMITTED, LATEST = "Committed", "Uncommitted", "Latest"
ENTRY = re.compile(rf"<({COMMITTED}|{UNCOMMITTED}|{LATEST})>\s*([^<]*?)\s*</\1>")
LIST = re.compile(rf"\s*(?:<\?xml[^>]*\?>)?\s*<BlockList(?:\s*/>|>(?:\s*{ENTRY.pattern})*\s*</BlockList>)\s*")
Entry = tuple[str, str]  # which block is meant, and its id


class Blocks:
    """The blocks that are no blob yet.

    :param blobs: the storage account.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs, self._root = blobs, blobs.root / FOLDER
        self._root.mkdir(exist_ok=True)
        for folder in self._root.iterdir():
            if folder.stat().st_mtime < time.time() - KEPT_SECONDS:
                shutil.rmtree(folder)

    def put(self, file: Path, container: str, name: str, block_id: str) -> None:
        """Keep an uncommitted block."""
        self._blobs.folder(container)
        self._blobs.path(container, name)
        size = _checked(block_id)
        with self._blobs.writing(container, name):
            folder = self._folder(container, name)
            folder.mkdir(exist_ok=True)
            if any(_checked(other) != size for other, _ in self.uncommitted(container, name)):
                raise _invalid("The ids of all blocks of a blob must have the same length.")
            file.replace(self._file(container, name, block_id))

    def uncommitted(self, container: str, name: str) -> list[tuple[str, int]]:
        """Return ids and sizes of the blocks that wait."""
        folder = self._folder(container, name)
        files = folder.iterdir() if folder.is_dir() else ()
        return sorted((file.name.replace("_", "/"), file.stat().st_size) for file in files)

    def forget(self, container: str, name: str) -> None:
        """Drop the blocks that wait: a blob was written in another way, or is gone."""
        shutil.rmtree(self._folder(container, name), ignore_errors=True)

    def commit(self, container: str, name: str, entries: Sequence[Entry], **properties: Any) -> Blob:
        """Put the blob together; blocks that wait and are not in the list are dropped."""
        blobs = self._blobs
        blobs.folder(container)
        with blobs.writing(container, name), blobs.upload() as file:
            former = blobs.find(container, name)
            sizes = []
            with file.open("wb") as whole:
                for kind, block_id in entries:
                    start = whole.tell()
                    self._copy(whole, former, self._file(container, name, block_id), kind, block_id)
                    sizes.append((block_id, whole.tell() - start))
            blob = blobs.commit(file, container, name, **properties, blocks=sizes)
            self.forget(container, name)
            return blob

    def _copy(self, whole: Any, former: Blob | None, waiting: Path, kind: str, block_id: str) -> None:
        if kind != COMMITTED and waiting.is_file():
            with waiting.open("rb") as part:
                shutil.copyfileobj(part, whole)
        elif kind != UNCOMMITTED and former and (found := _place(former, block_id)):
            for chunk in read(former.path, found[0], found[0] + found[1]):
                whole.write(chunk)
        else:
            raise Fault(400, "InvalidBlockList", "The specified block list is invalid.")

    def _folder(self, container: str, name: str) -> Path:
        return self._root / key_of(container, name)

    def _file(self, container: str, name: str, block_id: str) -> Path:
        return self._folder(container, name) / block_id.replace("/", "_")


def read_list(file: Path) -> list[Entry]:
    """Read the body of Put Block List."""
    text = file.read_text(errors="replace") if file.stat().st_size <= MAX_LIST else ""
    if not LIST.fullmatch(text):
        raise Fault(400, "InvalidXmlDocument", "The specified XML is not syntactically valid.")
    entries = [(kind, block_id) for kind, block_id in ENTRY.findall(text)]
    if len(entries) > MAX_BLOCKS:
        raise Fault(400, "BlockListTooLong", f"The block list may not contain more than {MAX_BLOCKS} blocks.")
    for _, block_id in entries:
        _checked(block_id)
    return entries


def _place(blob: Blob, block_id: str) -> tuple[int, int] | None:
    """Return where a block begins in a blob, and its size."""
    start = 0
    for known, size in blob.blocks:
        if known == block_id:
            return start, size
        start += size
    return None


def _checked(block_id: str) -> int:
    """Return the length of an id; refuse what is none."""
    try:
        length = len(base64.b64decode(block_id, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid("A block's id must be in base64.") from error
    if not 0 < length <= MAX_ID:
        raise _invalid(f"A block's id must have 1 to {MAX_ID} bytes.")
    return length


def _invalid(reason: str) -> Fault:
    return Fault(400, "InvalidBlobOrBlock", f"The specified blob or block content is invalid. {reason}")
