"""The project folder: what goes, what is refused, the zip and the multipart body."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
from email.parser import BytesParser
from email.policy import HTTP

import pytest

from airflow_azml.client.files.bundle import Bundle, FileStream, MultipartStream, content_hash, project_files
from airflow_azml.client.transport.errors import InputError


@pytest.fixture
def project(tmp_path):
    """A small project with a package below it."""
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "pkg" / "model.py").write_text("x = 1")
    (folder / "data.csv").write_text("1,2")
    return folder


def names(folder, **options):
    return [file.name for file in project_files(folder, **options)]


def test_files_are_sorted_and_relative(project):
    """Names are relative to the folder, with forward slashes, in one order."""
    (project / ".git").mkdir()
    (project / ".git" / "config").write_text("x")
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "x.pyc").write_text("x")
    assert names(project) == ["data.csv", "pkg/model.py", "train.py"]


def test_amlignore_wins_over_gitignore(project):
    """The first ignore file that is there decides, never both."""
    (project / ".gitignore").write_text("*.csv\n")
    assert "data.csv" not in names(project)
    (project / ".amlignore").write_text("pkg/\n*.py\n!train.py\n# a comment\n")
    assert names(project) == [".amlignore", ".gitignore", "data.csv", "train.py"]


def test_the_zip_is_the_same_whenever_it_is_made(project):
    """Neither times, permissions nor the order of creation change a byte."""
    with Bundle(project) as first:
        one, digest = first.path.read_bytes(), first.sha256
    os.utime(project / "train.py", (1, 1))
    (project / "train.py").chmod(0o700)
    with Bundle(project) as second:
        assert second.path.read_bytes() == one
        assert second.sha256 == digest == content_hash(second.files)
        with zipfile.ZipFile(second.path) as archive:
            assert archive.namelist() == ["data.csv", "pkg/model.py", "train.py"]
            assert archive.read("train.py") == b"print(1)"
            assert archive.testzip() is None
    (project / "train.py").write_text("print(2)")
    with Bundle(project) as third:
        assert third.sha256 != digest


def test_the_zip_is_gone_afterwards(project):
    """The temporary file does not outlive its use, nor a failure while it is made."""
    with Bundle(project) as bundle:
        path = bundle.path
        assert path.exists()
    assert not path.exists()
    with pytest.raises(InputError):
        _ = bundle.path
    (project / "data.csv").unlink()  # after it was listed
    before = set(path.parent.glob("azureml-*.zip"))
    with pytest.raises(FileNotFoundError), bundle:
        pass
    assert set(path.parent.glob("azureml-*.zip")) <= before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_files": 2}, "has 3 files, at most 2"),
        ({"max_bytes": 10}, "the largest file is train.py"),
        ({"entry_script": "model.py"}, r"did you mean pkg/model\.py\?"),
        ({"entry_script": "trian.py"}, r"did you mean train\.py\?"),
        ({"entry_script": "zzz"}, r"the folder has data\.csv, pkg/model\.py, train\.py"),
        ({"entry_script": "../train.py"}, "did you mean"),
    ],
)
def test_a_folder_that_cannot_be_sent(project, options, said):
    """Too many, too large, or without its entry script: said before anything is sent."""
    with pytest.raises(InputError, match=said):
        project_files(project, **options)


def test_the_entry_script_may_be_written_with_a_dot(project):
    """``./train.py`` is ``train.py``."""
    assert project_files(project, entry_script="./train.py")


def test_an_empty_or_missing_folder(tmp_path):
    """Nothing to send is an error with the folder's name."""
    with pytest.raises(InputError, match="has no files"):
        project_files(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        project_files(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not a folder"):
        project_files(tmp_path / "file")


def test_links(project, tmp_path):
    """Links within the folder are followed; those that leave it, lead nowhere or in a circle are refused."""
    (project / "again.py").symlink_to("train.py")
    (project / "lib").symlink_to("pkg", target_is_directory=True)
    assert names(project) == ["again.py", "data.csv", "lib/model.py", "pkg/model.py", "train.py"]
    for target, said in ((tmp_path, "leads out"), (project / "none", "leads nowhere"), (project, "that it is in")):
        link = project / "pkg" / "bad"
        link.symlink_to(target)
        with pytest.raises(InputError, match=said):
            project_files(project)
        link.unlink()


def test_the_multipart_body_is_what_the_service_reads(project):
    """Two file parts with the exact names, no content type of their own, of the declared length, repeatable."""
    with Bundle(project) as bundle:
        body = MultipartStream(
            ("runDefinitionFile", "definition.json", b'{"a": 1}'), ("projectZipFile", "project.zip", bundle.path)
        )
        sent = b"".join(body)
        assert sent == b"".join(body)
        assert len(sent) == len(body)
        zipped = bundle.path.read_bytes()
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + body.content_type.encode() + b"\r\n\r\n" + sent)
    parts = list(message.iter_parts())
    assert [(part.get_param("name", header="content-disposition"), part.get_filename()) for part in parts] == [
        ("runDefinitionFile", "definition.json"),
        ("projectZipFile", "project.zip"),
    ]
    assert all(part.keys() == ["Content-Disposition"] for part in parts)
    boundary = body.content_type.partition("boundary=")[2].encode()
    assert sent == b"".join((
        b"--", boundary,
        b'\r\nContent-Disposition: form-data; name="runDefinitionFile"; filename="definition.json"\r\n\r\n',
        b'{"a": 1}\r\n--', boundary,
        b'\r\nContent-Disposition: form-data; name="projectZipFile"; filename="project.zip"\r\n\r\n',
        zipped, b"\r\n--", boundary, b"--\r\n",
    ))  # fmt: skip


def test_a_large_folder_is_never_in_memory(project):
    """Making and reading a 40 MB body takes a small part of that."""
    (project / "big.bin").write_bytes(os.urandom(1024 * 1024) * 40)
    tracemalloc.start()
    with Bundle(project) as bundle:
        body = MultipartStream(("projectZipFile", "project.zip", bundle.path))
        assert sum(len(chunk) for chunk in body) == len(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_a_file_as_a_body(project):
    """Its length is known and it can be read again."""
    stream = FileStream(project / "train.py")
    assert (len(stream), b"".join(stream), b"".join(stream)) == (8, b"print(1)", b"print(1)")
