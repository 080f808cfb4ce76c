"""Versions of a model (v2): many are registered at once under one name, and each gets a version of its own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from client_support import ARM, REGION, regional

from airflow_azml.client.resources.run_history import Run
from airflow_azml.client.specs.registration import MARKER
from airflow_azml.client.transport.errors import ConflictError

MODEL = f"{ARM}/models/m"
RUN = Run(id="r1", data_container_id="dcid.r1")


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
