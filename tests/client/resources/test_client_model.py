"""Versions of a model (v2): many are registered at once under one name, and each gets a version of its own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from client_support import REGION, WS, regional, sent
from model_support import ARTIFACTS, CONTENT, MANAGED, MODEL, MODELS, RUN, WANTED, arm

from airflow_azml.client.specs.registration import MARKER
from airflow_azml.client.transport import errors
from airflow_azml.client.transport.errors import ConflictError


class Registry:
    """A model's versions as Resource Manager keeps them, and rivals who take a version before our PUT arrives.

    :param rivals: how many of the first versions a rival takes.
    """

    def __init__(self, mock, rivals=0):
        self.versions = {}
        self.puts = 0
        self._rivals = rivals
        self._lock = Lock()
        version = re.compile(re.escape(f"{MODEL}/versions/"))
        mock.get(f"{MODEL}/versions", json=lambda *_: {"value": [*self.versions.values()]})
        mock.get(MODEL, json=lambda *_: {"properties": {"nextVersion": str(len(self.versions) + 1)}})
        mock.get(version, json=self._get)
        mock.put(version, json=self._put)
        mock.get(re.compile(re.escape(f"{regional('artifact/v2.0')}/")), json={"value": [{"path": "outputs/model"}]})

    def _get(self, request, context):
        there = self.versions.get(request.path.rpartition("/")[2])
        context.status_code = 200 if there else 404
        return there or {}

    def _put(self, request, context):
        version, properties = request.path.rpartition("/")[2], request.json()["properties"]
        with self._lock:
            self.puts += 1
            if self._rivals >= self.puts:
                self.versions.setdefault(version, {"name": version, "properties": {"properties": {MARKER: "rival"}}})
            if version in self.versions:
                context.status_code = 409
                return {"error": {"code": "Conflict", "message": "the version exists"}}
            self.versions[version] = {"name": version, "properties": properties}
        return self.versions[version]


def register(client, key, **more):
    return client.models.register(RUN, name="m", path="outputs/model", key=key, **more)


def test_parallel_registrations_under_one_name_all_succeed(client, requests_mock):
    """Ten tasks at once: ten versions, none of them twice, none of them lost."""
    registry = Registry(requests_mock)
    requests_mock.get(f"{REGION}/discovery", json={"api": f"{REGION}/"})
    keys = [f"k{number}" for number in range(10)]
    with ThreadPoolExecutor(len(keys)) as pool:
        made = list(pool.map(lambda key: register(client, key), keys))
    assert sorted(int(model.version) for model in made) == list(range(1, 11))
    assert [model.properties[MARKER] for model in made] == keys
    assert len(registry.versions) == 10


def test_a_writer_that_is_always_too_late_tries_again_after_random_pauses(client, requests_mock):
    """Writers that met once would meet again if they all waited for the same time."""
    Registry(requests_mock, rivals=12)
    assert register(client, "k1").version == "13"
    assert len(client.slept) == 12
    assert len(set(client.slept)) > 1


def test_a_writer_that_never_comes_first_may_be_tried_again_by_airflow(client, requests_mock):
    """Rivals are no mistake of the task's: the error is not permanent."""
    Registry(requests_mock, rivals=1000)
    with pytest.raises(ConflictError, match="was registered by someone else") as caught:
        register(client, "k1")
    assert not caught.value.permanent


def test_a_chosen_version_that_a_rival_has_is_refused_for_good(client, requests_mock):
    """No later try can get a version that is taken: only the caller can choose another."""
    registry = Registry(requests_mock, rivals=1)
    with pytest.raises(ConflictError, match="version 7 of model m was registered by someone else") as caught:
        register(client, "k1", version="7")
    assert caught.value.permanent
    assert (registry.puts, client.slept) == (1, [])


def test_a_registration_is_found_again_by_its_key(client, requests_mock):
    """The service is asked for the key: it need not send all versions of a model that has thousands."""
    Registry(requests_mock)
    register(client, "k1")
    (looked,) = [one for one in requests_mock.request_history if one.path.endswith("/m/versions")]
    assert looked.qs["properties"] == [f"{MARKER}=k1"]
    assert register(client, "k1").version == "1"


def arm_version(version, key):
    return {
        "name": version,
        "id": f"{WS}/models/m/versions/{version}",
        "properties": {"properties": {MARKER: key}, "modelUri": "u"},
    }


def echo(request, _):
    return {"name": request.path.rpartition("/")[2], "id": "id", "properties": request.json()["properties"]}


@pytest.mark.usefixtures("outputs")
def test_v2_registration_puts_the_next_version(client, requests_mock):
    """The run's path becomes an azureml:// URI; tags are strings; the caller's key is kept."""
    requests_mock.get(f"{MODEL}/versions", status_code=404)
    requests_mock.get(MODEL, json={"properties": {"nextVersion": "3"}})
    requests_mock.get(f"{MODEL}/versions/3", status_code=404)
    requests_mock.put(f"{MODEL}/versions/3", status_code=201, json=echo)
    model = client.models.register(RUN, **WANTED)
    assert (model.name, model.version, model.run_id) == ("m", "3", "r1")
    assert requests_mock.last_request.json() == {
        "properties": {
            "modelUri": "azureml://jobs/r1/outputs/artifacts/paths/outputs/model", "modelType": "mlflow_model",
            "description": "", "tags": {"n": "1"}, "properties": {"p": "q", MARKER: "k1"}, "isAnonymous": False,
        }
    }  # fmt: skip
    assert client.models.arm_id(model) == f"{WS}/models/m/versions/3"


def test_v2_registration_is_made_once(client, requests_mock):
    """A version that has the caller's key is adopted, without looking at outputs that may be gone."""
    requests_mock.get(f"{MODEL}/versions", json={"value": [arm_version("2", "other"), arm_version("1", "k1")]})
    assert client.models.register(RUN, **WANTED).version == "1"
    assert sent(requests_mock, "PUT") == []


@pytest.mark.usefixtures("outputs")
def test_v2_registration_gives_way_to_a_faster_writer(client, requests_mock):
    """Two runs that want the same next version end with two versions."""
    requests_mock.get(f"{MODEL}/versions", json={"value": []})
    requests_mock.get(MODEL, [{"status_code": 404}, {"json": {"properties": {"nextVersion": "2"}}}])
    requests_mock.get(f"{MODEL}/versions/1", [{"status_code": 404}, {"json": arm_version("1", "other")}])
    requests_mock.get(f"{MODEL}/versions/2", status_code=404)
    requests_mock.put(f"{MODEL}/versions/1", status_code=409)
    requests_mock.put(f"{MODEL}/versions/2", json=echo)
    assert client.models.register(RUN, **WANTED).version == "2"


@pytest.mark.usefixtures("outputs")
def test_v2_registration_of_a_taken_version(client, requests_mock):
    """A version that was asked for and belongs to someone else is a conflict, not overwritten."""
    requests_mock.get(f"{MODEL}/versions", json={"value": []})
    requests_mock.get(f"{MODEL}/versions/7", json=arm_version("7", "other"))
    with pytest.raises(errors.ConflictError, match="version 7"):
        client.models.register(RUN, name="m", path="outputs/model", key="k1", version="7")
    assert sent(requests_mock, "PUT") == []


@pytest.mark.usefixtures("outputs")
def test_v2_registration_that_is_refused(client, requests_mock):
    """A refusal that has nothing to do with another writer is raised as it is."""
    requests_mock.get(f"{MODEL}/versions", json={"value": []})
    requests_mock.get(MODEL, status_code=404)
    requests_mock.get(f"{MODEL}/versions/1", status_code=404)
    requests_mock.put(f"{MODEL}/versions/1", status_code=400, json={"error": {"code": "Bad", "message": "type"}})
    with pytest.raises(errors.InvalidRequestError, match="Bad: type"):
        client.models.register(RUN, **WANTED)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_path_that_is_not_in_the_outputs(make_client, requests_mock, api):
    """Nothing is registered; what is there is listed."""
    client = make_client(api=api)
    requests_mock.get(f"{MODEL}/versions", status_code=404)
    requests_mock.get(MANAGED, json={"value": []})
    requests_mock.get(CONTENT, status_code=404)
    paths = [{"path": "logs/x"}, {"path": "outputs/modle/a"}]
    requests_mock.get(f"{ARTIFACTS}/ExperimentRun/dcid.r1", json={"value": paths})
    with pytest.raises(errors.InputError, match=r"is not in the outputs of run r1; there is: outputs/modle/a$"):
        client.models.register(RUN, **WANTED)
    assert {request.method for request in requests_mock.request_history} == {"GET"}


KEY = {"name": "m", "key": "k1", "tags": {"a": 1}}


def test_v2_registers_local_files(client, requests_mock, folder, uploads, secrets):
    """Uploaded through the artifact service, named as a path of its datastore; links stay at home."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": []})
    requests_mock.get(MODELS + "/m", status_code=404)
    requests_mock.get(f"{MODELS}/m/versions/1", status_code=404)
    requests_mock.put(f"{MODELS}/m/versions/1", json=arm("1", properties={MARKER: "k1"}))
    assert client.models.register_local(folder, **KEY).version == "1"
    assert uploads == {"a.pkl": b"aaa", "sub/b": b""}
    uri = requests_mock.last_request.json()["properties"]["modelUri"]
    assert re.fullmatch(r"azureml://datastores/workspaceartifactstore/paths/LocalUpload/m-\w{12}/model", uri)
    assert "s1" in secrets


def test_local_files_are_registered_once(client, requests_mock, folder):
    """A version with the caller's key is adopted, and nothing is uploaded again."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": [arm("4", properties={MARKER: "k1"})]})
    assert client.models.register_local(folder, **KEY).version == "4"
    assert {request.method for request in requests_mock.request_history} == {"GET"}


def test_local_files_that_are_not_there(client, requests_mock, tmp_path):
    """Said before anything is uploaded."""
    requests_mock.get(f"{MODELS}/m/versions", json={"value": []})
    (tmp_path / "empty").mkdir()
    for source, reason in ((tmp_path / "no", "neither a file nor a folder"), (tmp_path / "empty", "no files")):
        with pytest.raises(errors.InputError, match=reason):
            client.models.register_local(source, **KEY)
