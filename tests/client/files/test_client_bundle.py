"""The zip of a project folder, and bodies that are read from disk while they are sent."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
from email.parser import BytesParser
from email.policy import HTTP

import pytest

from airflow_azml.client.files.bodies import FileStream, MultipartStream
from airflow_azml.client.files.bundle import Bundle, content_hash
from airflow_azml.client.transport.errors import InputError


def test_the_zip_is_the_same_whenever_it_is_made(project):
    """Neither times, permissions of reading and writing nor the order of creation change a byte."""
    with Bundle(project) as first:
        one, digest = first.path.read_bytes(), first.sha256
    os.utime(project / "train.py", (1, 1))
    (project / "train.py").chmod(0o600)
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


def test_what_may_be_executed_here_may_be_executed_there(project):
    """A script that the command calls by name keeps its right, whoever else has it here; other files get none."""
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o700)
    with Bundle(project) as bundle, zipfile.ZipFile(bundle.path) as archive:
        modes = {entry.filename: oct(entry.external_attr >> 16) for entry in archive.infolist()}
    assert modes == {name: "0o100755" if name == "run.sh" else "0o100644" for name in modes}


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
