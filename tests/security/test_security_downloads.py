"""What a run has written is named by whoever wrote it: nothing leaves the folder, nothing fills the disk."""

from __future__ import annotations

import gzip
import json
import uuid

import pytest
from airflow_harness import Airflow
from security_servers import TOKEN, Answer

from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.transport.errors import InputError
from airflow_azml.operators.artifact import AzureMLDownloadRunOutputsOperator

RUN = {"runId": "r1", "status": "Completed", "dataContainerId": "d"}
EVIL = [
    "../x",
    "outputs/../../x",
    "/etc/x",
    "outputs//x",
    "outputs/./x",
    "outputs/",
    "..\\x",
    "outputs\\..\\..\\x",
    "C:/x",
    "c:x",
    "\\\\host\\share\\x",
    "outputs/x\0.txt",
    "outputs/a\nb",
    "..",
    "",
]
FOLDING = [
    ("outputs/Model", "outputs/model"),
    ("outputs/stra\u00dfe", "outputs/STRASSE"),
    ("outputs/\u00e9", "outputs/e\u0301"),
    ("outputs/x", "outputs/x"),
    ("outputs/a", "outputs/a/b"),
    ("outputs/A/b", "outputs/a"),
]


@pytest.fixture
def run_with(azure):
    """A finished run with files of such names, all of the same content."""

    def run_with(*paths, content=b"content", **headers):
        azure.route("/runs/r1", RUN, service="history/v1.0")
        rows = {"value": [{"path": path} for path in paths]}
        azure.route("/artifacts/ExperimentRun/d", rows, service="artifact/v2.0")
        where = {"contentUri": f"{azure.url}/blob?sig=s"}
        azure.route("/artifacts/ExperimentRun/d/contentinfo", where, service="artifact/v2.0")
        azure.answers["GET", "/blob"] = Answer(content, headers=headers)
        return Run.of(RUN)

    return run_with


@pytest.fixture
def download(azure, monkeypatch, tmp_path):
    """Download the run's files in a task, to a folder or to object storage; return the task's end."""

    def download(destination, **fields):
        extra = {
            "cloud": "Custom", "authority_url": azure.url, "resource_manager_url": azure.url, "token": TOKEN,
            "subscription_id": "s", "resource_group": "g", "workspace_name": "w",
        }  # fmt: skip
        connection = {"conn_type": "azureml", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        airflow = Airflow(str(tmp_path / "dag.py"), run_id=uuid.uuid4().hex)
        fields = {"artifact_path": "", **fields}
        return airflow.run(AzureMLDownloadRunOutputsOperator, run_id="r1", destination=destination, **fields)

    return download


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", EVIL)
def test_a_name_that_leads_out_is_refused(client, run_with, tmp_path, path):
    """The service lists a file whose name is a way out: nothing at all is downloaded, good files neither."""
    run = run_with("outputs/good", path)
    with pytest.raises(InputError, match="may lead out"):
        client.artifacts.download_all(run, "", tmp_path / "in")
    assert everything(tmp_path) == []


@pytest.mark.parametrize(("one", "other"), FOLDING)
def test_names_that_fold_onto_each_other_are_refused(client, run_with, tmp_path, one, other):
    """Two names that are one file on some file systems: the second would silently replace the first."""
    for names in ((one, other), (other, one)):
        with pytest.raises(InputError, match="the same place"):
            client.artifacts.download_all(run_with(*names), "", tmp_path)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("path", ["../x", "/etc/x", "outputs/../../x"])
def test_a_task_refuses_them_too(download, run_with, tmp_path, scheme, path):
    """The operator fails at once, be its destination a folder or object storage."""
    run_with("outputs/good", path)
    outcome = download(f"{scheme}{tmp_path}/in")
    assert outcome.state == "failed"
    assert "may lead out of the folder" in str(outcome.error)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_ordinary_names_arrive(download, run_with, tmp_path, scheme):
    """Spaces, dots, colons, percent signs and letters of all languages are no reason to refuse a file."""
    names = [
        "outputs/a b.txt",
        "outputs/..x/y..",
        "outputs/\u00fcml\u00e4ut",
        "outputs/10:30%41",
        "logs/x.part",
        "logs/x",
    ]
    run_with(*names)
    assert download(f"{scheme}{tmp_path}/in").result["files"] == names
    assert everything(tmp_path / "in") == sorted(names)


def test_a_link_in_the_folder_is_not_followed(client, run_with, tmp_path):
    """A folder that is a link to elsewhere is refused; a file that is one is replaced, and what it points to kept."""
    (tmp_path / "in" / "outputs").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("mine")
    (tmp_path / "in" / "logs").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "outputs" / "secret").symlink_to(tmp_path / "out" / "secret")
    with pytest.raises(InputError, match="leads out"):
        client.artifacts.download_all(run_with("logs/secret"), "", tmp_path / "in")
    client.artifacts.download_all(run_with("outputs/secret"), "", tmp_path / "in")
    assert (tmp_path / "out" / "secret").read_text() == "mine"
    assert (tmp_path / "in" / "outputs" / "secret").read_bytes() == b"content"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_too_many_bytes_are_refused_while_they_come(download, run_with, tmp_path, scheme):
    """The limit is that of all files together; the error names the field and what to do."""
    run_with("outputs/a", "outputs/b", content=b"x" * 600)
    outcome = download(f"{scheme}{tmp_path}/in", max_bytes=1000)
    assert outcome.state == "failed"
    assert str(outcome.error).startswith("max_bytes 1000: ")
    assert "outputs/b: allow more" in str(outcome.error)
    assert everything(tmp_path) == ["in/outputs/a"]
    assert download(f"{scheme}{tmp_path}/in", max_bytes=1200).state == "success"


def test_a_bomb_is_stopped_before_it_is_unpacked(client, run_with, tmp_path):
    """An answer of a few KiB that unpacks to hundreds of MiB counts as what it unpacks to."""
    bomb = gzip.compress(bytes(300 << 20))
    assert len(bomb) < 1 << 20
    run = run_with("outputs/x", content=bomb, **{"Content-Encoding": "gzip"})
    with pytest.raises(InputError, match="max_bytes"):
        client.artifacts.download_all(run, "", tmp_path, max_bytes=1 << 20)
    with pytest.raises(InputError, match="max_bytes"):
        client.artifacts.download(run, "outputs/x", tmp_path, max_bytes=1 << 20)
    assert everything(tmp_path) == []


def test_too_many_files_are_refused_before_the_first(download, run_with, tmp_path):
    """A run with more files than allowed is not begun to be downloaded."""
    run_with(*(f"outputs/{number}" for number in range(11)))
    outcome = download(str(tmp_path / "in"), max_files=10)
    assert outcome.state == "failed"
    assert str(outcome.error).startswith("max_files 10: ")
    assert everything(tmp_path) == []
    assert len(download(str(tmp_path / "in"), max_files=11).result["files"]) == 11
