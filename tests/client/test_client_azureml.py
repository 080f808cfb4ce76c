"""The client itself: links to studio, names in addresses, and what it refuses before anything is sent."""

from __future__ import annotations

import pytest
from client_support import WS

from airflow_azml.client.resources.endpoint import endpoint_page
from airflow_azml.client.resources.model_version import Model, model_page
from airflow_azml.client.routing import Workspace
from airflow_azml.client.transport import errors


def test_studio_links(client):
    """Every page names the workspace and, when it is known, the tenant."""
    workspace = Workspace("s", "g", "w")
    url = workspace.studio_url(client.runs.page(client.runs.target("r 1")), tenant_id="t")
    assert url == f"https://ml.azure.com/runs/r%201?wsid={WS}&tid=t"
    assert workspace.studio_url(model_page("m", "1"), studio="https://ml.azure.us") == (
        f"https://ml.azure.us/model/m:1/details?wsid={WS}"
    )
    pages = [client.computes.page(client.computes.target("c")), endpoint_page("e")]
    assert pages == ["/compute/c/details", "/endpoints/realtime/e/detail"]
    assert workspace.studio_url() == f"https://ml.azure.com/home?wsid={WS}"


def test_names_are_encoded_in_urls_and_nowhere_else(make_client, requests_mock):
    """A group called "Instruktører (1)" is written so in ids, once encoded in URLs, and so in the links to studio."""
    workspace = Workspace("s", "Instruktører (1)", "w")
    encoded = WS.replace("/g/", "/Instrukt%C3%B8rer%20%281%29/")
    assert workspace.arm_id == WS.replace("/g/", "/Instruktører (1)/")
    assert workspace.arm_path == encoded
    assert workspace.studio_url() == f"https://ml.azure.com/home?wsid={encoded}"
    client = make_client()
    client.environments.workspace = workspace
    url = f"https://management.azure.com{encoded}/environments/e/versions/1"
    requests_mock.get(url, json={"properties": {"image": "i"}})
    made = client.environments.create("e", {"image": "i"}, version="1")
    assert made.id == f"{workspace.arm_id}/environments/e/versions/1"
    assert requests_mock.last_request.url.startswith(url)
    client.models.workspace = workspace
    model = Model(name="m", version="1", id="m:1")
    assert client.models.arm_id(model) == f"{workspace.arm_id}/models/m/versions/1"


def test_a_client_needs_a_known_api(make_client):
    """Only the two generations exist."""
    with pytest.raises(errors.InputError, match="'v1' or 'v2'"):
        make_client(api="v3")
    with make_client(api="v1") as client:
        assert type(client.models).__name__ == "ClassicModels"


@pytest.mark.parametrize(
    "look",
    [
        lambda client: client.datastores.get("None"),
        lambda client: client.models.delete_all("None"),
        lambda client: client.models.delete_all(""),
        lambda client: next(client.models.list(""), None),
        lambda client: client.runs.children("None"),
        lambda client: client.runs.details(".."),
    ],
)
def test_what_is_no_name_is_refused_before_anything_is_sent(client, requests_mock, look):
    """An empty name means neither all nor the thing above; the error is an InputError."""
    with pytest.raises(errors.InputError, match="must be"):
        look(client)
    assert requests_mock.request_history == []
