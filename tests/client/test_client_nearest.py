"""A name that does not exist is answered with the names that were probably meant, after the error and never before."""

from __future__ import annotations

import pytest
from client_support import ARM
from requests_mock import ANY

from airflow_azml.client.transport.errors import AzureMLError, NotFoundError

ABSENT = {"status_code": 404, "json": {"error": {"code": "NotFound", "message": "it was not found"}}}
ENDPOINTS = f"{ARM}/onlineEndpoints"


def rows(*names):
    return {"value": [{"name": name} for name in names]}


def failed(client, call):
    """Return the error of a call as a task shows it, and how many requests it took after the error."""
    with pytest.raises(AzureMLError) as caught:
        call()
    before = sum(client.transport.requests.values())
    client.suggest(caught.value)
    return str(caught.value), sum(client.transport.requests.values()) - before


# What was asked for, the list that has the name that was meant, its names, and what is said.
REFERENCES = {
    "compute": (
        lambda client: client.compute_instances.start("cpuu"),
        (f"{ARM}/computes", rows("cpu", "gpu-large")),
        "Did you mean 'cpu'?",
    ),
    "endpoint": (
        lambda client: client.endpoints.score("shopp", {}),
        (ENDPOINTS, rows("shop", "other")),
        "Did you mean 'shop'?",
    ),
    "deployment": (
        lambda client: client.deployments.scale("shop", "bleu", 2),
        (f"{ENDPOINTS}/shop/deployments", rows("blue", "green")),
        "Did you mean 'blue'?",
    ),
    "endpoint of a deployment": (
        lambda client: client.deployments.scale("shopp", "blue", 2),
        (ENDPOINTS, rows("shop")),
        "Did you mean 'shop'?",
    ),
    "model": (
        lambda client: client.models.update("iriss", "3", tags={}),
        (f"{ARM}/models", rows("iris", "Irish")),
        "Did you mean 'iris' or 'Irish'?",
    ),
    "version of a model": (
        lambda client: client.models.update("iris", "3", tags={}),
        (f"{ARM}/models/iris/versions", rows("2", "1")),
        "There is: 2, 1.",
    ),
    "environment": (
        lambda client: client.environments.ensure("sklaern:1"),
        (f"{ARM}/environments", rows("sklearn", "torch")),
        "Did you mean 'sklearn'?",
    ),
    "environment of a run": (
        lambda client: client.environments.inlined({"configuration": {"environment": {"name": "sklaern"}}}),
        (f"{ARM}/environments", rows("sklearn", "torch")),
        "Did you mean 'sklearn'?",
    ),
    "datastore": (
        lambda client: client.datastores.get("workspaceblob"),
        (f"{ARM}/datastores", rows("workspaceblobstore")),
        "Did you mean 'workspaceblobstore'?",
    ),
}


@pytest.mark.parametrize("what", REFERENCES)
def test_a_wrong_name_is_answered_with_the_one_that_was_meant(client, requests_mock, what):
    """Whatever can be listed cheaply; one request, or two where the thing is a part of another."""
    call, (url, names), said = REFERENCES[what]
    requests_mock.register_uri(ANY, ANY, **ABSENT)
    requests_mock.get(url, json=names)
    text, requests = failed(client, lambda: call(client))
    assert text.partition("\n")[0].endswith(said)
    assert requests <= 2


@pytest.mark.parametrize("status", [400, 404])
def test_a_name_in_the_body_of_a_request_is_read_from_the_services_words(client, requests_mock, status):
    """The compute of a run, the model of a deployment: the address that was asked names neither."""
    requests_mock.get(f"{ARM}/computes", json=rows("cpu"))
    requests_mock.get(f"{ARM}/models", json=rows("iris"))
    for message, said in (
        ("Compute target 'cpuu' was not found in the workspace.", "Did you mean 'cpu'?"),
        ("Model container with name: iriss not found.", "Did you mean 'iris'?"),
    ):
        error = NotFoundError(message, status_code=status, url=f"{ENDPOINTS}/shop/deployments/blue")
        client.suggest(error)
        assert error.remedy == said


def test_no_name_is_guessed_when_none_is_near(client, requests_mock):
    """The first of those that there are, and how many more."""
    requests_mock.get(f"{ARM}/computes/x1", **ABSENT)
    requests_mock.get(f"{ARM}/computes", json=rows(*(f"cluster-{number}" for number in range(9))))
    text, _ = failed(client, lambda: client.computes.get("x1"))
    assert text.endswith("There is: cluster-0, cluster-1, cluster-2, cluster-3, cluster-4 and 4 more.")


@pytest.mark.parametrize(
    "answer", [{"status_code": 403}, {"status_code": 503}, {"text": "?"}, {"json": {"value": [1]}}]
)
def test_a_list_that_cannot_be_read_changes_nothing(client, requests_mock, answer):
    """The error that a person needs is the first one; nothing is repeated for the sake of a hint."""
    requests_mock.get(f"{ARM}/computes/cpuu", **ABSENT)
    requests_mock.get(f"{ARM}/computes", **answer)
    text, requests = failed(client, lambda: client.computes.get("cpuu"))
    assert (text, requests) == ("get compute failed (HTTP 404): NotFound: it was not found", 1)


def test_other_errors_ask_for_nothing(client, requests_mock):
    """Neither does a name that exists: then something else is missing."""
    requests_mock.get(f"{ARM}/computes/cpu", [{"status_code": 403}, ABSENT])
    requests_mock.get(f"{ARM}/computes", json=rows("CPU"))
    assert failed(client, lambda: client.computes.get("cpu"))[1] == 0
    text, _ = failed(client, lambda: client.computes.get("cpu"))
    assert text.endswith("it was not found")
