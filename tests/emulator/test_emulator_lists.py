"""Long lists of blobs and artifacts: complete, in order, and no page costs what the whole list would."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import running

from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.storage import blob_names
from airflow_azml.emulator.storage.blobs import BlobStore

LIST = f"/artifact/v2.0{facts.WORKSPACE_PATH}/artifacts/LocalUpload/many"
CONTAINER = f"/_blob/{facts.STORAGE_ACCOUNT}/{facts.ARTIFACT_CONTAINER}"
FILES = 1600
PATHS = sorted(f"d{number % 7}/{number:04}" if number % 2 else f"{number:04}" for number in range(FILES))
SEGMENT = st.text("ab.-0~é", min_size=1, max_size=3).filter(lambda text: text not in {".", ".."})
NAMES = st.lists(st.lists(SEGMENT, min_size=1, max_size=3).map("/".join), max_size=15)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running(tmp_path_factory.mktemp("lists")) as site:
        write(site, *PATHS)
        yield site


def write(site, *paths):
    for path in paths:
        file = site.emulator.blobs.path(facts.ARTIFACT_CONTAINER, f"LocalUpload/many/{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.fixture
def looked_at(monkeypatch):
    """The blobs that the emulator looks at meanwhile."""
    names, find = [], BlobStore.find
    monkeypatch.setattr(
        BlobStore, "find", lambda self, container, name: names.append(name) or find(self, container, name)
    )
    return names


def artifacts(site, meanwhile=lambda: None):
    """Yield the paths of a list, page by page."""
    answer = site.http.get(LIST, headers=site.headers).json()
    yield [each["path"] for each in answer["value"]]
    while link := answer.get("nextLink"):
        meanwhile()
        answer = site.http.get(link, headers=site.headers).json()
        yield [each["path"] for each in answer["value"]]


def test_a_page_of_artifacts_looks_at_no_other_artifacts(site, looked_at):
    """All pages together look at each artifact a few times, not once more for every page."""
    pages = list(artifacts(site))
    assert len(pages) == 4
    assert [path for page in pages for path in page] == PATHS
    assert len(looked_at) < 2.1 * FILES


def test_what_comes_meanwhile_moves_no_page(site):
    """Files that are written between two pages, before and after where the list is, neither hide nor repeat others."""
    new = ["d0/0000", "zzz"]
    found = [path for page in artifacts(site, lambda: write(site, *new)) for path in page]
    assert [path for path in found if path not in new] == PATHS
    assert found.count("zzz") == 1
    for path in new:
        site.emulator.blobs.delete(facts.ARTIFACT_CONTAINER, f"LocalUpload/many/{path}")


@pytest.mark.parametrize(("delimiter", "entries"), [("", FILES), ("/", FILES // 2 + 7)])
def test_a_page_of_blobs_looks_at_no_blobs_before_it(site, looked_at, delimiter, entries):
    """The pages of the blob service, flat or by folders, are the whole list in order, and cost what they have."""
    marker, found = "", []
    while True:
        query = {"restype": "container", "comp": "list", "prefix": "LocalUpload/many/", "maxresults": "300"}
        query |= {"marker": marker, "delimiter": delimiter}
        answer = site.http.get(CONTAINER, params=query, headers=site.headers)
        page = ET.fromstring(answer.content)  # noqa: S314 - our own answer
        found += [name.text.removeprefix("LocalUpload/many/") for name in page.iter("Name")]
        marker = page.findtext("NextMarker") or ""
        if not marker:
            break
    expected = PATHS if not delimiter else sorted({path if "/" not in path else path[:3] for path in PATHS})
    assert found == expected
    assert len(found) == entries
    assert len(looked_at) < 1.5 * FILES


@given(NAMES, st.sampled_from(["", "a", "a/", "b.", "a/b"]), SEGMENT)
def test_names_are_in_the_order_of_whole_names(tmp_path_factory, names, prefix, start):
    """However folders and files are named, the names below a folder are those a sorted list would have."""
    root = tmp_path_factory.mktemp("names")
    made = []
    for name in names:
        try:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch(exist_ok=False)
            made.append(name)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            pass  # a folder, or below a file
    for first in ("", start):
        wanted = sorted(name for name in made if name.startswith(prefix) and name >= first)
        assert list(blob_names.below(root, "", prefix, first)) == wanted
