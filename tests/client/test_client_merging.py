"""What exists is read first; what the caller names is merged into it; nothing is sent when nothing differs."""

from __future__ import annotations

import pytest
from client_support import ARM

from airflow_azml.client import merging
from airflow_azml.client.specs.run_definition import run_definition
from airflow_azml.client.transport.errors import ConflictError, InputError
from airflow_azml.client.values import with_texts

ENDPOINT = f"{ARM}/onlineEndpoints/ep1"
DEPLOYMENT = f"{ENDPOINT}/deployments/blue"
ENVIRONMENT = f"{ARM}/environments/env/versions/1"
USER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
SERVING = {
    "id": "/x", "name": "ep1", "type": "t", "kind": "Managed", "systemData": {}, "location": "eastus",
    "tags": {"team": "shop", "keep": "true"},
    "identity": {
        "type": "UserAssigned", "tenantId": "t", "userAssignedIdentities": {USER: {"principalId": "p"}},
    },
    "properties": {
        "authMode": "Key", "description": "prices", "traffic": {"green": 100}, "mirrorTraffic": {"blue": 10},
        "publicNetworkAccess": "Disabled", "properties": {"p": "q"}, "compute": None, "keys": None,
        "provisioningState": "Succeeded", "scoringUri": "https://s", "swaggerUri": "https://s/swagger",
    },
}  # fmt: skip
SERVED = {
    "name": "blue", "location": "eastus", "tags": {"team": "shop"}, "identity": None,
    "sku": {"name": "Default", "tier": "Standard", "capacity": 3},
    "properties": {
        "model": "/m/1", "instanceType": "STANDARD_DS3_V2", "endpointComputeType": "Managed", "environmentId": "/e/1",
        "codeConfiguration": {"codeId": "/c/1", "scoringScript": "score.py"}, "environmentVariables": {"A": "1"},
        "scaleSettings": {"scaleType": "TargetUtilization", "minInstances": 1, "maxInstances": 5},
        "requestSettings": {"requestTimeout": "PT1M", "maxConcurrentRequestsPerInstance": 4},
        "livenessProbe": {"period": "PT10S", "failureThreshold": 30}, "appInsightsEnabled": True,
        "dataCollector": None, "provisioningState": "Succeeded",
    },
}  # fmt: skip


def without_read_only(raw):
    """What may be sent back of a resource, written down independently of the client."""
    hidden = {"provisioningState", "scoringUri", "swaggerUri"}
    inner = {key: value for key, value in raw["properties"].items() if value is not None and key not in hidden}
    body = {key: raw[key] for key in ("location", "tags", "sku") if key in raw} | {"properties": inner}
    return body | (
        {"identity": {"type": "UserAssigned", "userAssignedIdentities": {USER: {}}}} if raw["identity"] else {}
    )


@pytest.fixture
def there(requests_mock):
    """The service shows the endpoint and the deployment, and takes what is put."""
    for url, raw in ((ENDPOINT, SERVING), (DEPLOYMENT, SERVED)):
        requests_mock.get(url, json=raw)
        requests_mock.put(url, json=raw)


def put(mock):
    """The body of the only PUT."""
    (request,) = [request for request in mock.request_history if request.method == "PUT"]
    return request.json()


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"tags": {}},
        {"tags": {"team": "shop"}, "location": "East US"},
        {"properties": {"authMode": "key", "description": "prices", "keys": {"primaryKey": "given-once"}}},
        {"properties": {"traffic": {"green": 100}, "properties": {"p": "q"}}},
        {"identity": {"type": "userAssigned", "userAssignedIdentities": {USER.upper(): {}}}},
    ],
)
def test_an_endpoint_that_is_as_wanted_is_left_alone(client, requests_mock, spec):
    """Another spelling of a word, an id or a region is no difference."""
    assert client.endpoints.ensure("ep1", spec).operation is None
    assert {request.method for request in requests_mock.request_history} == {"GET"}


@pytest.mark.usefixtures("there")
def test_an_endpoint_that_serves_keeps_what_is_not_named(client, requests_mock):
    """Traffic, mirrored traffic, identity, other tags and settings go back as they are."""
    client.endpoints.ensure("ep1", {"tags": {"cost": 7, "team": "SHOP"}, "properties": {"properties": {"p": "Q"}}})
    wanted = without_read_only(SERVING)
    wanted["tags"] = {"team": "SHOP", "keep": "true", "cost": "7"}
    wanted["properties"]["properties"] = {"p": "Q"}
    assert put(requests_mock) == wanted


@pytest.mark.usefixtures("there")
def test_traffic_that_is_named_is_the_whole_traffic(client, requests_mock):
    """Shares are of a whole: merged, they would be more than 100 per cent. The rest of the endpoint stays."""
    client.endpoints.set_traffic("ep1", {"green": 100})
    client.endpoints.set_traffic("ep1", {"blue": 100})
    wanted = without_read_only(SERVING)
    wanted["properties"]["traffic"] = {"blue": 100}
    assert put(requests_mock) == wanted


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"location": "westeurope"}, "location is 'eastus', not 'westeurope'"),
        ({"identity": {"type": "SystemAssigned"}}, "identity.type is 'UserAssigned', not 'SystemAssigned'"),
        ({"identity": {"userAssignedIdentities": {"/other": {}}}}, "userAssignedIdentities./other is not assigned"),
    ],
)
def test_what_an_endpoint_cannot_change_is_refused(client, requests_mock, spec, said):
    """The difference is named, and nothing is sent, not even what could be changed."""
    with pytest.raises(ConflictError) as caught:
        client.endpoints.ensure("ep1", {"tags": {"new": "tag"}, **spec})
    assert said in str(caught.value)
    assert caught.value.permanent
    assert {request.method for request in requests_mock.request_history} == {"GET"}


@pytest.mark.parametrize("state", ["Failed", "Canceled"])
def test_what_has_failed_is_put_again(client, requests_mock, state):
    """Nothing differs, and yet it is not as wanted."""
    for url, raw in ((ENDPOINT, SERVING), (DEPLOYMENT, SERVED)):
        requests_mock.get(url, json={**raw, "properties": {**raw["properties"], "provisioningState": state}})
        requests_mock.put(url, json=raw)
    client.endpoints.ensure("ep1")
    assert put(requests_mock) == without_read_only(SERVING)
    client.deployments.ensure("ep1", "blue", {})
    assert requests_mock.last_request.json() == without_read_only(SERVED)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"properties": {"instanceType": "Standard_DS3_v2", "model": "/M/1", "livenessProbe": {"period": "PT10S"}}},
        {"properties": {"requestSettings": {"requestTimeout": "PT60S"}, "environmentVariables": {"A": 1}}},
        {"sku": {"name": "Default", "capacity": 3}, "properties": {"scaleSettings": {"maxInstances": 5}}},
    ],
)
def test_a_deployment_that_is_as_wanted_is_left_alone(client, requests_mock, spec):
    """A deployment takes minutes to update: nothing is sent when nothing differs."""
    assert client.deployments.ensure("ep1", "blue", spec).operation is None
    assert {request.method for request in requests_mock.request_history} == {"GET"}


@pytest.mark.usefixtures("there")
def test_a_deployment_keeps_what_is_not_named(client, requests_mock):
    """Another model, variable or timeout changes nothing else: machines, scaling, probes, tags."""
    changes = {"model": "/m/2", "environmentVariables": {"B": True}, "requestSettings": {"requestTimeout": "PT90S"}}
    client.deployments.ensure("ep1", "blue", {"properties": changes})
    wanted = without_read_only(SERVED)
    wanted["properties"]["model"] = "/m/2"
    wanted["properties"]["environmentVariables"] = {"A": "1", "B": "True"}
    wanted["properties"]["requestSettings"] = {"requestTimeout": "PT90S", "maxConcurrentRequestsPerInstance": 4}
    assert put(requests_mock) == wanted


@pytest.mark.usefixtures("there")
def test_another_kind_of_scaling_replaces_the_old_one(client, requests_mock):
    """The members of one kind do not fit the other, and would be refused."""
    client.deployments.ensure("ep1", "blue", {"properties": {"scaleSettings": {"scaleType": "Default"}}})
    assert put(requests_mock)["properties"]["scaleSettings"] == {"scaleType": "Default"}


@pytest.mark.usefixtures("there")
def test_another_instance_type_is_refused(client, requests_mock):
    """The specification lets only a new deployment have one."""
    with pytest.raises(ConflictError, match=r"properties\.instanceType is 'STANDARD_DS3_V2', not 'F4'"):
        client.deployments.ensure("ep1", "blue", {"properties": {"instanceType": "F4"}})
    assert {request.method for request in requests_mock.request_history} == {"GET"}


def test_an_environment_version_with_other_content_is_refused(client, requests_mock):
    """A chosen version is adopted only if it has the same content; tags and description may change."""
    inner = {"image": "mcr/x", "condaFile": "{name: e}", "tags": {"a": "b"}, "environmentType": "UserCreated"}
    requests_mock.get(ENVIRONMENT, json={"id": "there", "properties": inner})
    requests_mock.put(ENVIRONMENT, json={"id": "there"})
    same = {"image": "mcr/x", "condaFile": {"name": "e"}}
    assert client.environments.create("env", same, "1").id == "there"
    for other in ({**same, "image": "mcr/y"}, {**same, "condaFile": {"name": "f"}}):
        with pytest.raises(ConflictError, match="it exists, and this cannot be changed: properties"):
            client.environments.create("env", other, "1")
    assert {request.method for request in requests_mock.request_history} == {"GET"}
    client.environments.create("env", {**same, "tags": {"n": 1}}, "1")
    wanted = {"image": "mcr/x", "condaFile": "name: e\n", "tags": {"a": "b", "n": "1"}}
    assert put(requests_mock) == {"properties": wanted}


@pytest.mark.parametrize(
    ("there", "wanted", "result"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": {"b": 1}}, {"a": None}, {}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"vmSize": "S1"}, {"vmSize": "s1"}, {"vmSize": "S1"}),
        ({"tags": {"type": "a"}}, {"tags": {"type": "A"}}, {"tags": {"type": "A"}}),
        ({"traffic": {"a": 100}}, {"traffic": {}}, {"traffic": {}}),
        ({"period": "PT0.5S"}, {"period": "PT0.2S"}, {"period": "PT0.2S"}),
    ],
)
def test_merging(there, wanted, result):
    """Objects are merged, all else is replaced; merging what is merged already changes nothing."""
    assert merging.merged(there, wanted) == result
    assert merging.differences(result, wanted) == {}
    assert bool(merging.differences(there, wanted)) is (result != there)


@pytest.mark.parametrize("value", [None, {"a": "b"}, ["a"], object()])
@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (lambda value: {"tags": {"t": value}}, "spec.tags.t"),
        (
            lambda value: {"properties": {"environmentVariables": {"V": value}}},
            "spec.properties.environmentVariables.V",
        ),
        (lambda value: {"properties": {"properties": {"p": value}}}, "spec.properties.properties.p"),
    ],
)
def test_what_is_no_text_number_or_boolean_is_refused_by_name(client, requests_mock, spec, field, value):
    """The service takes texts only; a rendered None must not become a tag `None`."""
    for ensure in (lambda: client.endpoints.ensure("ep1", spec(value)), lambda: with_texts(spec(value))):
        with pytest.raises(InputError) as caught:
            ensure()
        assert caught.value.field == field
    assert requests_mock.request_history == []


def test_variables_of_a_run_are_texts_too():
    """One rule for tags and variables, wherever they are given."""
    given = {"script": "a.py", "environmentVariables": {"A": 1}, "environment": {"environmentVariables": {"B": True}}}
    configuration = run_definition(given)["configuration"]
    assert configuration["environmentVariables"] == {"A": "1"}
    assert configuration["environment"]["environmentVariables"] == {"B": "True"}
    with pytest.raises(InputError, match=r"environment\.environmentVariables\.B"):
        run_definition({**given, "environment": {"environmentVariables": {"B": ["x"]}}})
