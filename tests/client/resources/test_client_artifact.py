"""Files of runs: listed, uploaded, and downloaded below a folder that nothing leads out of."""

from __future__ import annotations

import pytest
from client_support import RUNNING, regional, requests_mock_any

from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.transport import errors

RUN = Run.of({"runId": "r1", "status": "Completed", "dataContainerId": "dcid.r1"})


ARTIFACTS = regional("artifact/v2.0") + "/artifacts"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "a.txt").write_text("a")
    (tmp_path / "out" / "sub" / "b c.txt").write_text("b")
    return tmp_path / "out"


def test_files_are_uploaded_to_a_run(client, requests_mock, folder, secrets):
    """A folder below a path, a file as the path; by SAS, without a bearer."""
    url = f"{ARTIFACTS}/ExperimentRun/dcid.r1/batch/metadata"

    def places(request, _):
        info = {
            row["path"]: {"contentUri": f"https://sa.blob.core.windows.net/{row['path']}?sig=s1"}
            for row in request.json()["paths"]
        }
        return {"artifactContentInformation": info, "errors": {}}

    requests_mock.post(url, json=places)
    requests_mock.put(requests_mock_any("https://sa.blob.core.windows.net/"), status_code=201)
    paths = client.artifacts.upload(RUN, folder, "outputs/report")
    assert paths == ("outputs/report/a.txt", "outputs/report/sub/b c.txt")
    assert client.artifacts.upload(RUN, folder / "a.txt", "outputs/x.txt") == ("outputs/x.txt",)
    puts = [request for request in requests_mock.request_history if request.method == "PUT"]
    assert len(puts) == 3
    assert all("Authorization" not in put.headers for put in puts)
    assert "s1" in secrets
    failed = {"outputs/a.txt": {"error": {"code": "UserError", "message": "exists already"}}}
    requests_mock.post(url, json={"artifactContentInformation": {}, "errors": failed})
    with pytest.raises(errors.ServiceError, match=r"UserError: outputs/a\.txt: exists already"):
        client.artifacts.upload(RUN, folder / "a.txt", "outputs/a.txt")


def test_all_outputs_are_downloaded(client, requests_mock, tmp_path):
    """Those below the prefix, to the same paths; the folders are made."""
    rows = [{"path": path} for path in ("outputs/a", "outputs/m/b", "outputsx", "logs/l")]
    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1", json={"value": rows})

    def place(request, _):
        return {"contentUri": f"https://sa.blob.core.windows.net/{request.qs['path'][0]}?sig=s"}

    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1/contentinfo", json=place)
    requests_mock.get(requests_mock_any("https://sa.blob.core.windows.net/"), content=b"x")
    paths = client.artifacts.download_all(RUN, "outputs", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["outputs/a", "outputs/m/b"]
    assert all(path.read_bytes() == b"x" for path in paths)


SAS = "https://sa.blob.core.windows.net/c/log?sig=s1"


def test_artifacts_are_listed_below_a_folder(client, requests_mock):
    """The container is the run's own; pages are followed; a folder's name is not a prefix of its neighbour's."""
    url = f"{ARTIFACTS}/ExperimentRun/dcid.r1"
    requests_mock.get(
        url,
        [
            {"json": {"value": [{"path": "outputs/model/a"}, {"path": "outputs/model2"}], "continuationToken": "c"}},
            {"json": {"value": [{"path": "outputs/model"}], "continuationToken": None}},
        ],
    )
    found = list(client.artifacts.list(Run.of(RUNNING), "outputs/model/"))
    assert [artifact.path for artifact in found] == ["outputs/model/a", "outputs/model"]
    assert requests_mock.last_request.qs == {"continuationtoken": ["c"]}
    assert list(client.artifacts.list(Run.of({"runId": "r1"}))) == []


def test_an_artifact_is_downloaded_below_the_folder(client, requests_mock, tmp_path, secrets):
    """The file's SAS URL is asked for and streamed without a bearer."""
    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1/contentinfo", json={"contentUri": SAS})
    requests_mock.get(SAS, content=b"model")
    path = client.artifacts.download(Run.of(RUNNING), "/outputs/model.pkl", tmp_path)
    assert path == tmp_path / "outputs" / "model.pkl"
    assert path.read_bytes() == b"model"
    assert "Authorization" not in requests_mock.last_request.headers
    assert "s1" in secrets


@pytest.mark.parametrize("path", ["../x", "outputs/../../x", "", "/", "outputs\\..\\..\\x"])
def test_a_path_that_leads_out_is_refused(client, requests_mock, tmp_path, path):
    """Neither the service nor a caller writes outside the folder."""
    with pytest.raises(errors.InputError):
        client.artifacts.download(Run.of(RUNNING), path, tmp_path)
    assert requests_mock.request_history == []


def test_a_link_that_leads_out_is_refused(client, tmp_path):
    """A link on the way to the target does not help either."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "outputs").symlink_to(tmp_path)
    with pytest.raises(errors.InputError, match="leads out"):
        client.artifacts.download(Run.of(RUNNING), "outputs/x", tmp_path / "in")


def test_a_run_without_outputs(client, tmp_path):
    """A run that has no container yet says so."""
    with pytest.raises(errors.NotFoundError, match="has no outputs"):
        client.artifacts.download(Run.of({"runId": "r1", "status": "Queued"}), "x", tmp_path)
