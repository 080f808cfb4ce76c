"""Long-running operations: where they are looked for, how far they are, and why they failed."""

from __future__ import annotations

import msgspec
import pytest
from client_support import OPERATION, STARTED

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({**STARTED, "Location": "https://management.azure.com/l"}, "status"),
        ({"Location": OPERATION}, "location"),
    ],
)
def test_where_an_operation_is_looked_for(client, requests_mock, headers, kind):
    """Azure-AsyncOperation, then Location; as plain JSON and back."""
    requests_mock.put(OPERATION, headers={**headers, "Retry-After": "3"}, json={})
    operation = Operation.started_by(client.transport.request("PUT", OPERATION, operation="put"))
    assert (operation.url, operation.kind, operation.retry_after) == (OPERATION, kind, 3)
    assert msgspec.convert(msgspec.to_builtins(operation), Operation) == operation


def test_without_a_header_only_the_resource_tells(client, requests_mock):
    """There is no operation to follow."""
    requests_mock.put(OPERATION, headers={"Retry-After": "3"}, json={})
    assert Operation.started_by(client.transport.request("PUT", OPERATION, operation="put")) is None


@pytest.mark.parametrize(
    ("kind", "answer", "status"),
    [
        ("status", {"json": {"status": "InProgress"}}, "InProgress"),
        ("status", {"json": {"status": "succeeded"}}, "Succeeded"),
        ("status", {"json": {"status": "Cancelled"}}, "Canceled"),
        ("status", {"json": {}}, "InProgress"),
        ("status", {"status_code": 404}, "Unknown"),
        ("location", {"status_code": 404}, "Unknown"),
        ("location", {"status_code": 403}, "Unknown"),
        ("location", {"status_code": 202}, "InProgress"),
        ("location", {"status_code": 204}, "Succeeded"),
        ("location", {"json": {"properties": {"provisioningState": "Failed"}}}, "Failed"),
        ("location", {"json": {"properties": {"provisioningState": "Creating"}}}, "InProgress"),
        ("location", {"json": {"properties": {"provisioningState": "Succeeded"}}}, "Succeeded"),
        ("location", {"json": {"name": "no state at all"}}, "Succeeded"),
    ],
)
def test_how_far_an_operation_is(client, requests_mock, kind, answer, status):
    """Each kind of address is read by its own rule."""
    requests_mock.get(OPERATION, **answer, headers={"Retry-After": "2"})
    state = Operation(OPERATION, kind).poll(client.transport)
    assert state.status == status
    assert state.done is (status != "InProgress")
    assert (state.error is not None) is (status in {"Failed", "Canceled"})


def test_a_failed_operation_says_why_although_http_says_200(client, requests_mock):
    """The reason is the deepest one."""
    requests_mock.get(OPERATION, json={"status": "Failed", "error": {"code": "Quota", "message": "no cores left"}})
    error = Operation(OPERATION, "status").poll(client.transport).error
    assert (error.code, error.message) == ("Quota", "no cores left")


def test_a_foreign_operation_address_is_refused(client, requests_mock):
    """The token does not follow a header to another host."""
    with pytest.raises(errors.UntrustedHostError):
        Operation("https://evil.example/op", "location").poll(client.transport)
    assert requests_mock.request_history == []
