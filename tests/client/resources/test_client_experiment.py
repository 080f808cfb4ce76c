"""Experiments: listed, created, changed and archived."""

from __future__ import annotations

from client_support import regional

HISTORY = regional("history/v1.0")


def test_experiments(client, requests_mock):
    """Listed by POST, changed and archived by their id."""
    raw = {"name": "exp", "experimentId": "e1", "description": None, "tags": {"a": "b"}}
    requests_mock.post(f"{HISTORY}/experiments:query", json={"value": [raw]})
    requests_mock.get(f"{HISTORY}/experiments/exp", json=raw)
    requests_mock.patch(f"{HISTORY}/experimentids/e1", json=raw)
    assert [(found.name, found.id, found.description) for found in client.experiments.list()] == [("exp", "e1", "")]
    assert requests_mock.last_request.json()["viewType"] == "ActiveOnly"
    assert client.experiments.create("exp").tags == {"a": "b"}
    client.experiments.update("exp", tags={"n": 1}, description="d")
    assert requests_mock.last_request.json() == {"tags": {"n": "1"}, "description": "d"}
    client.experiments.archive("exp")
    assert requests_mock.last_request.json() == {"archive": True}
    client.experiments.update("exp", tags={"a": "b"})
    client.experiments.archive("exp", restore=True)
    assert requests_mock.last_request.method == "GET"
