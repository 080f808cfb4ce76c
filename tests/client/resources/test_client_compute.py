"""Computes: created, kept, changed where they differ, listed and deleted."""

from __future__ import annotations

import pytest
from client_support import ARM, OPERATION, STARTED, sent

from airflow_azml.client.specs.aml_compute import AmlComputeSpec
from airflow_azml.client.transport import errors
from airflow_azml.client.transport.errors import ConflictError, InputError, ServiceError
from airflow_azml.client.transport.longrunning import Operation

COMPUTE = {
    "name": "cpu",
    "location": "eastus",
    "properties": {
        "computeType": "AmlCompute",
        "provisioningState": "Failed",
        "provisioningErrors": [{"error": {"code": "Quota", "message": "no cores"}}],
        "properties": {
            "vmSize": "STANDARD_D2_V2", "vmPriority": "Dedicated", "allocationState": "Steady", "currentNodeCount": 1,
            "scaleSettings": {"maxNodeCount": 2},
        },
    },
}  # fmt: skip


COMPUTES = f"{ARM}/computes"


def test_compute_create(client, requests_mock, secrets):
    """PUT with the spec; the location is the workspace's when none is given; the password is reported as secret."""
    requests_mock.get(f"{COMPUTES}/cpu", status_code=404)
    requests_mock.put(f"{COMPUTES}/cpu", status_code=201, json=COMPUTE, headers=STARTED)
    inner = {"vmSize": "STANDARD_D2_V2", "userAccountCredentials": {"adminUserName": "u", "adminUserPassword": "pw"}}
    spec = {"properties": {"computeType": "AmlCompute", "properties": inner}}
    target = client.computes.create("cpu", spec)
    assert requests_mock.last_request.json() == {"location": "eastus", **spec}
    assert requests_mock.last_request.qs == {"api-version": ["2019-11-01"]}
    assert target.operation == Operation(OPERATION, "status")
    requests_mock.get(f"{COMPUTES}/cpu", json=COMPUTE)
    compute = client.computes.get("cpu")
    assert (compute.vm_size, compute.errors, compute.current_nodes) == ("STANDARD_D2_V2", ("Quota: no cores",), 1)
    assert "pw" in secrets


def test_a_compute_that_exists_is_not_created_again(client, requests_mock):
    """A PUT would replace it for good."""
    requests_mock.get(f"{COMPUTES}/cpu", json=COMPUTE)
    with pytest.raises(errors.ConflictError, match="it exists"):
        client.computes.create("cpu", {"properties": {"computeType": "AmlCompute"}})
    assert sent(requests_mock, "PUT") == []


def test_an_instance_is_created_with_an_api_version_that_has_instances(client, requests_mock):
    """2019-11-01 has none: the service would not know the type."""
    requests_mock.get(f"{COMPUTES}/box", status_code=404)
    requests_mock.put(f"{COMPUTES}/box", status_code=201, json=COMPUTE, headers=STARTED)
    client.computes.create("box", {"properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "x"}}})
    assert requests_mock.last_request.qs == {"api-version": ["2021-07-01"]}


@pytest.mark.parametrize("spec", [{"userAccountCredentials": {}}, {"properties": {"userAccountCredentials": {}}}])
def test_credentials_in_the_wrong_place_are_refused(client, requests_mock, spec):
    """Where the service would ignore them, we say where they belong."""
    with pytest.raises(errors.InputError, match=r"properties\.properties"):
        client.computes.create("cpu", spec)
    assert requests_mock.request_history == []


def test_compute_get_list_update_nodes(client, requests_mock):
    """Each call's method, path and body."""
    requests_mock.get(f"{COMPUTES}/cpu", json=COMPUTE)
    requests_mock.get(COMPUTES, json={"value": [COMPUTE]})
    requests_mock.patch(f"{COMPUTES}/cpu", json=COMPUTE)
    requests_mock.post(f"{COMPUTES}/cpu/listNodes", json={"nodes": [{"nodeId": "n1", "nodeState": "idle"}]})
    assert client.computes.get("cpu").scale_settings == {"maxNodeCount": 2}
    assert requests_mock.last_request.qs == {"api-version": ["2021-07-01"]}
    assert [compute.name for compute in client.computes.list()] == ["cpu"]
    assert client.computes.update_scale("cpu", {"maxNodeCount": 3}).operation is None
    assert requests_mock.last_request.json() == {"properties": {"scaleSettings": {"maxNodeCount": 3}}}
    assert client.computes.nodes("cpu")[0]["nodeState"] == "idle"


@pytest.mark.parametrize(("status", "there"), [(200, True), (202, True), (204, False), (404, False)])
def test_compute_delete(client, requests_mock, status, there):
    """The machines go too; what was not there is no error."""
    requests_mock.delete(f"{COMPUTES}/cpu", status_code=status, headers=STARTED)
    target = client.computes.delete("cpu")
    assert (target.goal, target.operation is not None) == ("gone", there)
    assert requests_mock.last_request.qs == {"api-version": ["2019-11-01"], "underlyingresourceaction": ["delete"]}


CPU = f"{ARM}/computes/cpu"


GIVEN = {
    "vm_size": "STANDARD_DS3_V2",
    "min_nodes": 0,
    "max_nodes": 2,
    "idle_time_before_scale_down": 120,
    "vm_priority": "Dedicated",
}


def wanted(**changes):
    """What the tests want, apart from the changes."""
    return {**GIVEN, **changes}


def there(mock, *, state="Succeeded", kind="AmlCompute", errors=(), **inner):
    """Let the service show a compute."""
    scale = {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    properties = {"vmSize": "standard_ds3_v2", "vmPriority": "dedicated", "scaleSettings": scale, **inner}
    outer = {"computeType": kind, "provisioningState": state, "provisioningErrors": errors, "properties": properties}
    mock.get(CPU, json={"name": "cpu", "properties": outer})


def writes(mock):
    return [request for request in mock.request_history if request.method in {"PUT", "PATCH"}]


def test_a_compute_that_is_not_there_is_created(client, requests_mock):
    """One PUT, with the location of the workspace and durations as the API has them."""
    requests_mock.get(CPU, status_code=404, json={"error": {"code": "NotFound", "message": "none"}})
    requests_mock.put(CPU, status_code=201, json={"name": "cpu", "properties": {"provisioningState": "Creating"}})
    target = client.computes.ensure("cpu", **wanted(spec={"remoteLoginPortPublicAccess": "Disabled"}))
    assert target == client.computes.target("cpu")
    assert writes(requests_mock)[0].json() == {
        "location": "eastus",
        "properties": {
            "computeType": "AmlCompute",
            "properties": {
                "vmSize": "STANDARD_DS3_V2",
                "vmPriority": "Dedicated",
                "remoteLoginPortPublicAccess": "Disabled",
                "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT120S"},
            },
        },
    }


def test_a_new_compute_needs_a_vm_size(client, requests_mock):
    """Machines cost money: nobody gets one that was not named; one that exists need not be named again."""
    requests_mock.get(CPU, status_code=404, json={"error": {"code": "NotFound", "message": "none"}})
    with pytest.raises(
        InputError, match="vm_size: is required: compute cpu does not exist yet, and machines cost money"
    ):
        client.computes.ensure("cpu", **wanted(vm_size=None))
    assert writes(requests_mock) == []


def test_an_identical_compute_is_kept(client, requests_mock):
    """Another spelling of the same size, priority and duration is the same compute: nothing is written."""
    there(requests_mock)
    assert client.computes.ensure("cpu", **wanted()) == client.computes.target("cpu")
    assert writes(requests_mock) == []


NOT_NAMED = dict.fromkeys(GIVEN)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"max_nodes": 5}, {"maxNodeCount": 5}),
        ({"min_nodes": 1}, {"minNodeCount": 1}),
        ({"idle_time_before_scale_down": "PT1H"}, {"nodeIdleTimeBeforeScaleDown": "PT3600S"}),
    ],
)
@pytest.mark.parametrize("others", [{}, NOT_NAMED])
def test_other_scale_settings_are_updated(client, requests_mock, change, changed, others):
    """A PATCH changes the scale settings and touches nothing else; those that are not named stay."""
    there(requests_mock)
    requests_mock.patch(CPU, json={"name": "cpu", "properties": {"provisioningState": "Updating"}})
    client.computes.ensure("cpu", **wanted(**{**others, **change}))
    (patch,) = writes(requests_mock)
    assert patch.method == "PATCH"
    scale = {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT2M", **changed}
    assert patch.json() == {"properties": {"scaleSettings": scale}}


def test_a_compute_of_which_nothing_is_named_stays_as_it_is(client, requests_mock):
    """A task that only names a cluster must not shrink it to what new clusters get."""
    scale = {"minNodeCount": 3, "maxNodeCount": 10, "nodeIdleTimeBeforeScaleDown": "PT1H"}
    there(requests_mock, vmSize="STANDARD_NC6", vmPriority="LowPriority", scaleSettings=scale)
    client.computes.ensure("cpu", **wanted(**NOT_NAMED))
    assert writes(requests_mock) == []
    with pytest.raises(InputError, match="max_nodes"):
        client.computes.ensure("cpu", **wanted(**{**NOT_NAMED, "max_nodes": 2}))


def test_a_compute_that_is_being_made_is_waited_for(client, requests_mock):
    """A second PUT or PATCH would be refused now: what will be as wanted is left to its end, another wish is told."""
    there(requests_mock, state="Creating")
    assert client.look(client.computes.ensure("cpu", **wanted())).status == "Creating"
    with pytest.raises(ConflictError, match=r"it is Creating: scaleSettings\.maxNodeCount is 2, not 9") as caught:
        client.computes.ensure("cpu", **wanted(max_nodes=9))
    assert not caught.value.permanent
    assert writes(requests_mock) == []


@pytest.mark.parametrize("state", ["Succeeded", "Creating"])
def test_further_properties_that_differ_are_refused(client, requests_mock, state):
    """They cannot be changed, and must not pass for done; what the service does not show cannot be compared."""
    shown = {"subnet": None, "userAccountCredentials": {"adminUserName": "ann", "adminUserPassword": None}}
    there(requests_mock, state=state, **shown)
    same = {"userAccountCredentials": {"adminUserName": "ann", "adminUserPassword": "pw"}, "isolatedNetwork": True}
    client.computes.ensure("cpu", **wanted(spec=same))
    for more, said in (
        ({"subnet": {"id": "/net"}}, "subnet.id is not set, not '/net'"),
        ({"userAccountCredentials": {"adminUserName": "bob"}}, "adminUserName is 'ann', not 'bob'"),
    ):
        with pytest.raises(ConflictError, match=said) as caught:
            client.computes.ensure("cpu", **wanted(spec=more))
        assert caught.value.permanent
    assert writes(requests_mock) == []


@pytest.mark.parametrize(
    ("shown", "change", "said"),
    [
        ({}, {"vm_size": "STANDARD_NC6"}, "VM size standard_ds3_v2, not STANDARD_NC6"),
        ({}, {"vm_priority": "LowPriority"}, "VM priority dedicated, not LowPriority"),
        ({"kind": "ComputeInstance"}, {}, "compute type ComputeInstance, not AmlCompute"),
        ({"state": "Failed", "errors": [{"error": {"code": "Quota", "message": "no cores"}}]}, {}, "Quota: no cores"),
    ],
)
def test_what_cannot_be_changed_is_refused(client, requests_mock, shown, change, said):
    """A PUT would replace a compute for good: another machine on the name is refused, and the remedy is said."""
    there(requests_mock, **shown)
    with pytest.raises(ConflictError) as caught:
        client.computes.ensure("cpu", **wanted(**change))
    assert said in str(caught.value)
    assert "Delete" in caught.value.remedy
    assert caught.value.permanent
    assert writes(requests_mock) == []


def test_a_compute_that_is_being_deleted_is_worth_a_retry(client, requests_mock):
    """The name will be free: Airflow may try again."""
    there(requests_mock, state="Deleting")
    with pytest.raises(ServiceError, match="still being deleted") as caught:
        client.computes.ensure("cpu", **wanted())
    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"vm_size": ""}, "vm_size"),
        ({"max_nodes": 0}, "max_nodes"),
        ({"min_nodes": 3}, "max_nodes"),
        ({"min_nodes": "-1"}, "min_nodes"),
        ({"max_nodes": "two"}, "max_nodes"),
        ({"max_nodes": 1.5}, "max_nodes"),
        ({"vm_priority": "Spot"}, "vm_priority"),
        ({"vm_priority": ""}, "vm_priority"),
        ({"idle_time_before_scale_down": "5 minutes"}, "idle_time_before_scale_down"),
        ({"idle_time_before_scale_down": -5}, "idle_time_before_scale_down"),
        ({"idle_time_before_scale_down": []}, "idle_time_before_scale_down"),
        ({"spec": {"vmsize": "STANDARD_NC6"}}, "spec.vmsize"),
        ({"spec": {"scaleSettings": {"maxNodeCount": 9}}}, "spec.scaleSettings"),
    ],
)
def test_values_that_make_no_cluster_are_named(change, field):
    """What is wrong is said by field before anything is sent, also when a template rendered it."""
    with pytest.raises(InputError) as caught:
        AmlComputeSpec.read(**wanted(**change))
    assert caught.value.field == field


def test_a_bad_name_is_refused_before_anything_is_sent(client, requests_mock):
    """The service's rule for names is checked here."""
    with pytest.raises(InputError, match="compute_name 'cpu_1'"):
        client.computes.ensure("cpu_1", **wanted())
    assert requests_mock.request_history == []


def test_numbers_may_come_as_text():
    """A template renders to text."""
    as_text = wanted(min_nodes="0", max_nodes="2", idle_time_before_scale_down="120", vm_priority="dedicated")
    assert AmlComputeSpec.read(**as_text) == AmlComputeSpec.read(**wanted())
