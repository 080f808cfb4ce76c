"""The lists of the blob service, as XML: the blobs of a container, and the blocks of a blob."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree as ET  # only written here, never parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_azml.emulator.storage.blobs import Blob

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Listed = tuple[str, "Blob | None"]  # without a blob it is a common prefix


def by_folder(found: Iterable[Blob], prefix: str, delimiter: str) -> Iterator[Listed]:
    """Return the blobs by name; those below a common folder are one entry of its name, without a blob."""
    former = ""
    for blob in found:
        folder, below, _ = blob.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        name = f"{prefix}{folder}{delimiter}" if below else blob.name
        if name != former:  # in the order of names, a folder's blobs stand together
            yield name, None if below else blob
        former = name


def blobs_xml(container: str, prefix: str, page: Iterable[Listed], marker: str, *, metadata: bool) -> bytes:
    """Render a page of List Blobs."""
    root = ET.Element("EnumerationResults", ContainerName=container)
    _name(root, "Prefix", prefix)
    blobs = ET.SubElement(root, "Blobs")
    for name, blob in page:
        entry = ET.SubElement(blobs, "Blob" if blob else "BlobPrefix")
        _name(entry, "Name", name)
        if blob is None:
            continue
        _members(ET.SubElement(entry, "Properties"), _properties(blob))
        if metadata:
            _members(ET.SubElement(entry, "Metadata"), blob.metadata)
    ET.SubElement(root, "NextMarker").text = marker
    return _document(root)


def blocks_xml(lists: dict[str, list[tuple[str, int]]]) -> bytes:
    """Render Get Block List."""
    root = ET.Element("BlockList")
    for kind, blocks in lists.items():
        listed = ET.SubElement(root, f"{kind}Blocks")
        for block_id, size in blocks:
            _members(ET.SubElement(listed, "Block"), {"Name": block_id, "Size": str(size)})
    return _document(root)


def _name(parent: ET.Element, tag: str, name: str) -> None:
    """Write a name, encoded when it has characters that XML cannot have."""
    if NOT_XML.search(name):
        ET.SubElement(parent, tag, Encoded="true").text = quote(name)
    else:
        ET.SubElement(parent, tag).text = name


def _members(parent: ET.Element, members: dict[str, str]) -> None:
    for member, value in members.items():
        ET.SubElement(parent, member).text = NOT_XML.sub("", value)


def _document(root: ET.Element) -> bytes:
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _properties(blob: Blob) -> dict[str, str]:
    modified = formatdate(blob.modified, usegmt=True)
    return {
        "Creation-Time": modified,
        "Last-Modified": modified,
        "Etag": blob.etag.strip('"'),
        "Content-Length": str(blob.size),
        "Content-Type": blob.content_type,
        "Content-MD5": blob.content_md5,
        **blob.headers,
        "BlobType": "BlockBlob",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
    }
