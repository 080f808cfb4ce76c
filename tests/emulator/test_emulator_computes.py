"""Computes over HTTP: creation, nodes that come and go, changes, deletion, instances, and what is refused."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs_support import Client

PASSWORD = "Sw0rdfish-never-seen-again"
COUNTERS = {"preparing", "running", "idle", "unusable", "leaving", "preempted"}


def cluster(most=2, least=0, idle="PT1S", size="STANDARD_DS3_V2", **inner):
    scale = {"maxNodeCount": most, "minNodeCount": least, "nodeIdleTimeBeforeScaleDown": idle}
    inner = {"vmSize": size, "scaleSettings": scale, **inner}
    return {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": inner}}


def instance(**inner):
    properties = {"computeType": "ComputeInstance", "properties": {"vmSize": "STANDARD_DS3_V2", **inner}}
    return {"location": "eastus", "properties": properties}


@pytest.fixture
def finished(emulator, until):
    """Wait for the operation that an answer began."""

    def wait(answer):
        assert answer.ok, answer.text
        url = answer.headers["Azure-AsyncOperation"]
        return until(lambda: (body := emulator.call("GET", url).json())["status"] != "InProgress" and body)

    return wait


@pytest.fixture
def created(emulator, finished):
    """Create a compute and return its name."""
    names = iter(f"made-{time.time_ns() % 10**9}x{number}" for number in range(100))

    def create(body, name=None):
        name = name or next(names)
        finished(emulator.arm("PUT", f"/computes/{name}", json=body))
        return name

    return create


def inner_of(emulator, name):
    return emulator.arm("GET", f"/computes/{name}").json()["properties"]["properties"]


def test_cluster_is_created_as_the_service_does_it(emulator, until):
    """A PUT answers 201 Creating with an operation, no Location; the operation and the resource end Succeeded."""
    answer = emulator.arm("PUT", "/computes/Cpu-1", json=cluster(size="Standard_DS3_v2"))
    assert answer.status_code == 201
    assert "Location" not in answer.headers
    operation = answer.headers["Azure-AsyncOperation"]
    assert operation.startswith(f"{emulator.url}/subscriptions/")
    assert "/locations/eastus/computeOperationsStatus/" in operation
    assert answer.json()["properties"]["provisioningState"] == "Creating"
    first = emulator.call("GET", operation)
    assert first.json() == {"status": "InProgress"}
    assert first.headers["Retry-After"] == "1"
    until(lambda: emulator.call("GET", operation).json() == {"status": "Succeeded", "percentComplete": 100.0})
    shown = emulator.arm("GET", "/computes/cpu-1").json()
    assert shown["name"] == "Cpu-1"
    assert shown["id"].endswith(
        "/resourceGroups/local/providers/Microsoft.MachineLearningServices/workspaces/local/computes/Cpu-1"
    )
    assert shown["properties"]["provisioningState"] == "Succeeded"
    assert shown["properties"]["isAttachedCompute"] is False
    inner = shown["properties"]["properties"]
    assert inner["vmSize"] == "STANDARD_DS3_V2"
    assert inner["allocationState"] == "Steady"
    assert inner["nodeStateCounts"] == {f"{state}NodeCount": 0 for state in COUNTERS}


def test_a_cluster_has_the_members_that_azureml_core_reads(emulator, created):
    """azureml-core asks for these by name, also where there is nothing to say: no attached resource, no network."""
    properties = emulator.arm("GET", f"/computes/{created(cluster())}").json()["properties"]
    assert properties["resourceId"] is None
    assert properties["properties"]["subnet"] is None


def test_minimum_nodes_join_and_are_listed(emulator, created, until):
    """The nodes of the minimum pass from preparing to idle, in the counters and in listNodes."""
    name = created(cluster(least=2))
    until(lambda: inner_of(emulator, name)["nodeStateCounts"]["preparingNodeCount"] == 2)
    assert inner_of(emulator, name)["allocationState"] == "Resizing"
    until(lambda: inner_of(emulator, name)["nodeStateCounts"]["idleNodeCount"] == 2)
    listed = emulator.arm("POST", f"/computes/{name}/listNodes").json()
    assert listed["computeType"] == "AmlCompute"
    assert [node["nodeState"] for node in listed["nodes"]] == ["idle", "idle"]
    assert len({node["nodeId"] for node in listed["nodes"]}) == len({node["port"] for node in listed["nodes"]}) == 2
    assert not any("runId" in node for node in listed["nodes"])


def test_put_on_an_existing_cluster_updates_it(emulator, created, finished, until):
    """A second PUT answers 201 again, changes scale, tags and description, and keeps the creation date."""
    name = created(cluster(most=1))
    before = emulator.arm("GET", f"/computes/{name}").json()["properties"]
    body = cluster(most=3, least=1, idle="pt2m") | {"tags": {"team": "a"}}
    body["properties"]["description"] = "more"
    answer = emulator.arm("PUT", f"/computes/{name.upper()}", json=body)
    assert answer.status_code == 201
    assert answer.json()["properties"]["provisioningState"] == "Updating"
    assert finished(answer)["status"] == "Succeeded"
    shown = emulator.arm("GET", f"/computes/{name}").json()
    assert (shown["name"], shown["tags"]) == (name, {"team": "a"})
    assert (shown["properties"]["description"], shown["properties"]["createdOn"]) == ("more", before["createdOn"])
    expected = {"maxNodeCount": 3, "minNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "pt2m"}
    assert shown["properties"]["properties"]["scaleSettings"] == expected
    until(lambda: inner_of(emulator, name)["nodeStateCounts"]["idleNodeCount"] == 1)


@pytest.mark.parametrize("nested", [False, True], ids=["2019-11-01", "2021-07-01"])
def test_patch_takes_both_nestings(emulator, created, finished, nested):
    """Scale settings are changed one level deep (2019-11-01) and two levels deep (2021-07-01 on)."""
    name = created(cluster(idle="PT7S"))
    change = {"scaleSettings": {"maxNodeCount": 5}}
    answer = emulator.arm(
        "PATCH", f"/computes/{name}", json={"properties": {"properties": change} if nested else change}
    )
    assert answer.status_code == 202
    finished(answer)
    expected = {"maxNodeCount": 5, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT7S"}
    assert inner_of(emulator, name)["scaleSettings"] == expected


@pytest.mark.parametrize(
    ("wanted", "member"),
    [
        (cluster(size="STANDARD_D64_V3"), "vmSize"),
        (cluster(vmPriority="LowPriority"), "vmPriority"),
        (instance(), "computeType"),
    ],
    ids=["vmSize", "vmPriority", "computeType"],
)
def test_what_is_fixed_at_creation_cannot_be_changed(emulator, created, wanted, member):
    """A PUT with another size, priority or type on an existing name is refused by name and changes nothing."""
    name = created(cluster())
    before = emulator.arm("GET", f"/computes/{name}").json()
    answer = emulator.arm("PUT", f"/computes/{name}", json=wanted)
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["code"], error["target"], error["details"]) == ("PropertyChangeNotAllowed", member, [])
    assert emulator.arm("GET", f"/computes/{name}").json() == before


def test_same_cluster_in_other_spelling_is_the_same(emulator, created):
    """Enumerations and sizes compare without regard to case, as azureml-core sends `dedicated`."""
    name = created(cluster(vmPriority="Dedicated"))
    answer = emulator.arm("PUT", f"/computes/{name}", json=cluster(size="standard_ds3_v2", vmPriority="dedicated"))
    assert answer.status_code == 201
    assert inner_of(emulator, name)["vmPriority"] == "Dedicated"


def test_names_in_bodies_may_have_any_case(emulator, finished):
    """PascalCase bodies, as classic clients send them, are read."""
    scale = {"MaxNodeCount": 4}
    inner = {"VmSize": "STANDARD_D2_V2", "ScaleSettings": scale}
    body = {"Location": "eastus", "Properties": {"ComputeType": "amlcompute", "Properties": inner}}
    finished(emulator.arm("PUT", "/computes/pascal", json=body))
    assert inner_of(emulator, "pascal")["scaleSettings"]["maxNodeCount"] == 4


def test_delete_needs_the_underlying_action(emulator, created):
    """DELETE without underlyingResourceAction, or with nonsense, is refused; Detach is for attached computes only."""
    name = created(cluster())
    for query in ({}, {"underlyingResourceAction": "Explode"}, {"underlyingResourceAction": "Detach"}):
        assert emulator.arm("DELETE", f"/computes/{name}", params=query).status_code == 400
    assert emulator.arm("GET", f"/computes/{name}").json()["properties"]["provisioningState"] == "Succeeded"


def test_delete_is_followed_by_its_operation(emulator, created, until):
    """DELETE (v1 spells the action in lower case) answers 202, without Location; the operation comes to an end."""
    name = created(cluster())
    answer = emulator.arm("DELETE", f"/computes/{name}", params={"underlyingresourceaction": "delete"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert "Location" not in answer.headers
    assert emulator.arm("GET", f"/computes/{name}").json()["properties"]["provisioningState"] == "Deleting"
    assert emulator.arm("PUT", f"/computes/{name}", json=cluster()).status_code == 409
    until(lambda: emulator.call("GET", answer.headers["Azure-AsyncOperation"]).json()["status"] == "Succeeded")
    missing = emulator.arm("GET", f"/computes/{name}")
    assert (missing.status_code, missing.content) == (404, b"")
    assert emulator.arm("DELETE", f"/computes/{name}", params={"underlyingResourceAction": "Delete"}).status_code == 204


def test_secrets_are_neither_echoed_nor_kept(emulator, created):
    """An administrator's password and SSH key appear in no answer and in no file of the data folder."""
    credentials = {"adminUserName": "root1", "adminUserPassword": PASSWORD, "adminUserSshPublicKey": f"ssh-{PASSWORD}"}
    name = created(cluster(userAccountCredentials=credentials))
    answer = emulator.arm("PUT", f"/computes/{name}", json=cluster(userAccountCredentials=credentials))
    assert PASSWORD not in answer.text + emulator.arm("GET", f"/computes/{name}").text
    assert inner_of(emulator, name)["userAccountCredentials"] == {"adminUserName": "root1"}
    files = [path for path in emulator.data.parent.rglob("*") if path.is_file()]
    assert any(name.encode() in path.read_bytes() for path in files)
    assert not any(PASSWORD.encode() in path.read_bytes() for path in files)


def test_instance_starts_stops_and_restarts(emulator, created, finished):
    """A compute instance runs when created; each action answers 202 with an operation and passes through its state."""
    name = created(instance(applicationSharingPolicy="personal"))
    assert inner_of(emulator, name)["state"] == "Running"
    assert inner_of(emulator, name)["applicationSharingPolicy"] == "Personal"
    for action, passing, final in (
        ("stop", "Stopping", "Stopped"),
        ("start", "Starting", "Running"),
        ("restart", "Restarting", "Running"),
    ):
        answer = emulator.arm("POST", f"/computes/{name}/{action}")
        assert answer.status_code == 202
        assert "Location" not in answer.headers
        assert inner_of(emulator, name)["state"] == passing
        finished(answer)
        assert inner_of(emulator, name)["state"] == final
        assert inner_of(emulator, name)["lastOperation"]["operationName"] == action.capitalize()


def test_clusters_have_no_power_button_and_instances_no_nodes(emulator, created):
    """Start on a cluster and listNodes or PATCH on an instance are refused with 400."""
    assert emulator.arm("POST", f"/computes/{created(cluster())}/start").status_code == 400
    name = created(instance())
    assert emulator.arm("POST", f"/computes/{name}/listNodes").status_code == 400
    change = {"properties": {"scaleSettings": {"maxNodeCount": 1}}}
    assert emulator.arm("PATCH", f"/computes/{name}", json=change).status_code == 400


def test_absent_compute_is_a_404(emulator):
    """A change of a compute that does not exist is refused with its name; a GET has no body, as on the service."""
    body = {"properties": {"scaleSettings": {"maxNodeCount": 1}}}
    answer = emulator.arm("PATCH", "/computes/nowhere", json=body)
    assert (answer.status_code, answer.json()["error"]["target"]) == (404, "nowhere")
    answer = emulator.arm("GET", "/computes/nowhere")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("action", ["listNodes", "start", "stop", "restart"])
def test_actions_on_an_absent_compute_are_404(emulator, action):
    """Actions say 404, too."""
    assert emulator.arm("POST", f"/computes/nowhere/{action}").status_code == 404


def test_list_comes_in_pages(fresh_emulator):
    """The list follows nextLink to its end, each compute once, and refuses a token that is none."""
    for number in range(5):
        fresh_emulator.arm("PUT", f"/computes/paged{number}", json=cluster())
    answer = fresh_emulator.arm("GET", "/computes", params={"$top": 2}).json()
    names, links = [], set()
    while True:
        names += [compute["name"] for compute in answer["value"]]
        if not (link := answer.get("nextLink")):
            break
        assert link.startswith(fresh_emulator.url)
        assert link not in links
        links.add(link)
        answer = fresh_emulator.call("GET", link).json()
    assert names == [f"paged{number}" for number in range(5)]
    assert fresh_emulator.arm("GET", "/computes", params={"$skip": "3"}).json()["value"][0]["name"] == "paged3"
    assert fresh_emulator.arm("GET", "/computes", params={"$skiptoken": "next"}).status_code == 400


def test_regional_service_shows_the_same_compute(emulator, created):
    """azureml-core reads computes from the regional host, with an api-version of its own."""
    name = created(cluster())
    path = emulator.arm("GET", f"/computes/{name}").json()["id"]
    answer = emulator.call("GET", f"/rp/workspaces{path}?api-version=2020-02-02")
    assert answer.json()["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("1cpu", cluster(), "must start with a letter"),
        ("c", cluster(), "between 2 and 32"),
        ("cpu_1", cluster(), "letters, digits and dashes"),
        ("cpu-1", instance(), "not end with a dash and digits"),
        ("cpu", {}, "properties.computeType"),
        ("cpu", {"properties": {"computeType": "Toaster"}}, "Toaster"),
        ("cpu", {"properties": {"computeType": "AmlCompute", "properties": {}}}, "vmSize"),
        ("cpu", {"properties": {"computeType": "AmlCompute", "properties": {"vmSize": "x"}}}, "maxNodeCount"),
        ("cpu", cluster(most=1, least=2), "minNodeCount"),
        ("cpu", cluster(most=-1), "maxNodeCount"),
        ("cpu", cluster(most=10**9), "maxNodeCount"),
        ("cpu", cluster(most=True), "maxNodeCount"),
        ("cpu", cluster(idle="two minutes"), "ISO 8601"),
        ("cpu", cluster(idle="PT"), "ISO 8601"),
        ("cpu", cluster(idle="P1.2.3D"), "ISO 8601"),
        ("cpu", cluster(vmPriority="Spot"), "Dedicated, LowPriority"),
        ("cpu", cluster(userAccountCredentials={"adminUserName": "u"}), "adminUserPassword"),
        ("cpu", cluster(userAccountCredentials={"adminUserPassword": PASSWORD}), "adminUserName"),
        ("cpu", cluster() | {"tags": {"a": 1}}, "tags"),
        ("cpu", cluster() | {"location": "mars"}, "The provided location 'mars' is not available for resource type"),
        ("cpu", cluster() | {"location": ""}, "List of available regions for the resource type is 'australiaeast,"),
    ],
)
def test_bad_specs_are_refused_by_name(emulator, name, body, says):
    """Each mistake in a compute's body is a 400 that names the member or the rule, and never the password."""
    answer = emulator.arm("PUT", f"/computes/{name}", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["details"] == []
    assert PASSWORD not in answer.text


def test_types_that_are_not_offered_are_named(emulator):
    """A type that the service knows and the emulator does not is a 501 with its name."""
    answer = emulator.arm("PUT", "/computes/aks", json={"properties": {"computeType": "aks"}})
    assert answer.status_code == 501
    assert "AKS" in answer.json()["error"]["message"]


def test_a_size_that_does_not_exist_fails_the_creation(emulator, finished):
    """As on the service, the request is accepted; then compute and operation fail, with the list of what there is."""
    answer = emulator.arm("PUT", "/computes/toaster", json=cluster(size="Standard_Toaster", least=1))
    assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (201, "Creating")
    operation = finished(answer)
    assert (operation["status"], operation["error"]["code"]) == ("Failed", "InvalidPropertyValue")
    properties = emulator.arm("GET", "/computes/toaster").json()["properties"]
    error = properties["provisioningErrors"][0]["error"]
    assert (properties["provisioningState"], properties["properties"]["currentNodeCount"]) == ("Failed", 0)
    assert "STANDARD_TOASTER for property Cluster.Properties.VMSize is not a supported VM size" in error["message"]
    assert "STANDARD_DS3_V2" in error["details"][0]["message"].split(",")
    again = emulator.arm("PUT", "/computes/toaster", json=cluster(size="Standard_Toaster"))
    assert finished(again)["status"] == "Failed"
    assert (
        finished(emulator.arm("DELETE", "/computes/toaster?underlyingResourceAction=Delete"))["status"] == "Succeeded"
    )


def test_a_run_is_not_sent_to_a_compute_that_failed(emulator, finished):
    """A compute that could not be created takes no runs: they would wait for ever."""
    finished(emulator.arm("PUT", "/computes/broken", json=cluster(size="Standard_Toaster")))
    answer = Client(emulator, compute="broken").post("print()")
    assert (answer.status_code, answer.json()["error"]["innerError"]["code"]) == (400, "ComputeNotFound")


def test_a_region_is_spelled_in_two_ways(created, emulator):
    """`West US 2`, as the portal writes it, is westus2."""
    name = created(cluster() | {"location": "West US 2"})
    assert emulator.arm("GET", f"/computes/{name}").json()["location"] == "westus2"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("AmlCompute"),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(
            ["properties", "computeType", "vmSize", "scaleSettings", "maxNodeCount", "minNodeCount", "tags", "location",
             "nodeIdleTimeBeforeScaleDown", "userAccountCredentials", "subnet", "id", "identity", "type"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
MALFORMED = JSON | st.builds(
    lambda member, value: cluster(**{member: value}),
    st.sampled_from(["vmSize", "scaleSettings", "userAccountCredentials", "subnet", "vmPriority", "osType"]),
    JSON,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["PUT", "PATCH"]), body=MALFORMED | st.binary(max_size=20))
def test_no_body_makes_a_500(emulator, method, body):
    """Whatever stands in the body of a PUT or PATCH, the answer is a success or a 4xx."""
    emulator.arm("PUT", "/computes/target", json=cluster())
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = emulator.arm(method, "/computes/target", data=raw)
    assert answer.status_code < 500 or answer.status_code == 501, (body, answer.text)
