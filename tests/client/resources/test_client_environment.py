"""Environments: made once for the same content."""

from __future__ import annotations

import pytest
from client_support import ARM, requests_mock_any, sent

from airflow_azml.client.transport import errors


def test_an_environment_is_made_once(client, requests_mock):
    """Its version is a hash of what is in it; conda is sent as YAML text; what exists is adopted."""
    url = f"{ARM}/environments/env/versions/"
    requests_mock.get(requests_mock_any(url), [{"status_code": 404}, {"json": {"id": "there"}}])
    requests_mock.put(requests_mock_any(url), json={"id": "made"})
    spec = {"image": "mcr/x", "condaFile": {"name": "e", "dependencies": ["python=3.11"]}}
    made, there = client.environments.create("env", spec), client.environments.create("env", spec)
    assert (made.id, there.id, made.version) == ("made", "there", there.version)
    body = sent(requests_mock, "PUT")[0].json()
    assert body == {"properties": {"image": "mcr/x", "condaFile": "name: e\ndependencies:\n- python=3.11\n"}}
    with pytest.raises(errors.InputError, match="needs an image"):
        client.environments.create("env", {"condaFile": "x"})
