"""Online endpoints without deployments: their life, keys, tokens and what they refuse."""

from __future__ import annotations

import pytest

from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.identity.provider import IdentityProvider
from airflow_azml.emulator.kernel.facts import Pace
from airflow_azml.emulator.kernel.operations import Operations
from airflow_azml.emulator.kernel.store import Store

PRIMARY = {"keyType": "Primary"}


def body(mode: str = "Key", **properties) -> dict:
    return {"location": "eastus", "properties": {"authMode": mode, **properties}}


@pytest.fixture
def create(emulator, until):
    """Create an endpoint and wait until it is there."""

    def create(name: str, mode: str = "Key", **properties) -> dict:
        def get() -> dict:
            return emulator.arm("GET", f"/onlineEndpoints/{name}").json()

        answer = emulator.arm("PUT", f"/onlineEndpoints/{name}", json=body(mode, **properties))
        assert answer.status_code in {200, 201}, answer.text
        until(lambda: get()["properties"]["provisioningState"] == "Succeeded")
        return get()

    return create


def status(emulator, answer) -> dict:
    return emulator.call("GET", answer.headers["Azure-AsyncOperation"]).json()


def test_an_endpoint_has_no_scoring_uri_before_it_is_created(emulator, until):
    """PUT answers 201 with an operation; the URI comes with Succeeded, built from the request's own host."""
    answer = emulator.arm("PUT", "/onlineEndpoints/born", json=body("key"))
    properties = answer.json()["properties"]
    assert (answer.status_code, properties["provisioningState"], properties["scoringUri"]) == (201, "Creating", None)
    assert properties["authMode"] == "Key"
    assert properties["properties"]["AzureAsyncOperationUri"] == answer.headers["Azure-AsyncOperation"]
    assert answer.headers["Location"].startswith(f"{emulator.url}{answer.json()['id']}?")
    assert answer.headers["Retry-After"]
    assert "/mfeOperationsStatus/oeidp:" in answer.headers["Azure-AsyncOperation"]
    assert status(emulator, answer)["status"] == "Updating"
    until(lambda: status(emulator, answer)["status"] == "Succeeded")
    assert status(emulator, answer)["startTime"] < status(emulator, answer)["endTime"]
    found = emulator.arm("GET", "/onlineEndpoints/BORN", headers={"Host": "elsewhere.localhost:1"}).json()
    assert found["properties"]["scoringUri"] == "http://elsewhere.localhost:1/_score/born/score"
    assert "born" in [endpoint["name"] for endpoint in emulator.arm("GET", "/onlineEndpoints").json()["value"]]


def test_a_patch_changes_tags_and_identity_only(emulator, create, until):
    """Tags are merged, a null removes one; traffic, keys and mode stay. Other members are refused."""
    before = create("patched", "Key")
    path = "/onlineEndpoints/patched"
    emulator.arm("PUT", path, json={**body(), "tags": {"a": "1", "b": "2"}})
    until(lambda: emulator.arm("GET", path).json()["properties"]["provisioningState"] == "Succeeded")
    keys = emulator.arm("POST", f"{path}/listKeys").json()
    answer = emulator.arm("PATCH", path, json={"tags": {"a": None, "c": "3"}, "identity": {"type": "None"}})
    assert (answer.status_code, answer.content) == (202, b"")
    assert "/mfeOperationResults/" in answer.headers["Location"]
    assert "Azure-AsyncOperation" not in answer.headers
    until(lambda: emulator.call("GET", answer.headers["Location"]).status_code == 200)
    after = emulator.arm("GET", path).json()
    assert (after["tags"], after["identity"]["type"]) == ({"b": "2", "c": "3"}, "None")
    assert after["properties"]["scoringUri"] == before["properties"]["scoringUri"]
    assert emulator.arm("POST", f"{path}/listKeys").json() == keys
    for wrong in ({"properties": {"traffic": {}}}, {"tags": {"a": 1}}, {"location": "eastus"}):
        assert emulator.arm("PATCH", path, json=wrong).status_code == 400
    assert emulator.arm("PATCH", "/onlineEndpoints/absent", json={}).status_code == 404


@pytest.fixture
def slow(tmp_path):
    """Endpoints alone, in which every change takes an hour."""
    store = Store(tmp_path / "store.sqlite")
    pace = Pace(tick=1, retry_after=1, compute=1, node=1, endpoint=3600)
    yield OnlineEndpoints(store, Operations(store), IdentityProvider(tmp_path), pace), Operations(store)
    store.close()


def test_a_later_change_supersedes_the_one_under_way(slow):
    """The operation of a PUT that another PUT or a DELETE overtakes ends as Canceled."""
    endpoints, operations = slow
    first = endpoints.put("twice", body())["change"]["operations"][-1]
    second = endpoints.put("twice", body(description="two"))["change"]["operations"][-1]
    assert (operations.get(first)["status"], operations.get(second)["status"]) == ("Canceled", "InProgress")
    deletion = endpoints.delete("twice")["change"]["operations"][-1]
    assert (operations.get(second)["status"], operations.get(deletion)["status"]) == ("Canceled", "InProgress")


def test_an_endpoint_that_is_being_deleted_takes_no_changes(slow):
    """PUT and regenerateKeys are 409 during a deletion; a second DELETE joins the first."""
    endpoints, _ = slow
    endpoints.put("going", body())
    deletion = endpoints.delete("going")
    for change in (lambda: endpoints.put("going", body()), lambda: endpoints.regenerate_key("going", PRIMARY)):
        with pytest.raises(Fault) as refusal:
            change()
        assert refusal.value.status == 409
    assert endpoints.delete("going")["change"] == deletion["change"]


def test_delete_takes_its_time_and_absent_is_204(emulator, create, until):
    """DELETE is 202 with Location until the endpoint is gone; deleting nothing is 204."""
    create("short-lived")
    answer = emulator.arm("DELETE", "/onlineEndpoints/short-lived")
    assert answer.status_code == 202
    until(lambda: emulator.call("GET", answer.headers["Location"]).status_code == 200)
    assert emulator.arm("GET", "/onlineEndpoints/short-lived").status_code == 404
    assert emulator.arm("DELETE", "/onlineEndpoints/short-lived").status_code == 204


def test_keys_are_listed_regenerated_and_shown_nowhere_else(emulator, create):
    """Both keys are listed; regenerating one changes that one only; no other answer holds a key."""
    endpoint = create("keyed")
    keys = emulator.arm("POST", "/onlineEndpoints/keyed/listKeys").json()
    assert not any(key in str(endpoint) for key in keys.values())
    answer = emulator.arm("POST", "/onlineEndpoints/keyed/regenerateKeys", json=PRIMARY)
    assert answer.status_code == 202
    renewed = emulator.arm("POST", "/onlineEndpoints/keyed/listKeys").json()
    assert renewed["secondaryKey"] == keys["secondaryKey"]
    assert renewed["primaryKey"] != keys["primaryKey"]
    same = {"keyType": "Primary", "keyValue": renewed["primaryKey"]}  # as azure-ai-ml asks for a new key
    emulator.arm("POST", "/onlineEndpoints/keyed/regenerateKeys", json=same)
    assert emulator.arm("POST", "/onlineEndpoints/keyed/listKeys").json()["primaryKey"] != renewed["primaryKey"]
    given = {"keyType": "Secondary", "keyValue": "chosen"}
    emulator.arm("POST", "/onlineEndpoints/keyed/regenerateKeys", json=given)
    assert emulator.arm("POST", "/onlineEndpoints/keyed/listKeys").json()["secondaryKey"] == "chosen"
    assert emulator.arm("POST", "/onlineEndpoints/keyed/regenerateKeys", json={"keyType": "x"}).status_code == 400
    assert emulator.arm("POST", "/onlineEndpoints/keyed/token").status_code == 400


def test_only_token_endpoints_issue_tokens(emulator, create):
    """An AMLToken endpoint hands out a bearer token and has no keys to list."""
    create("tokened", "AMLToken")
    token = emulator.arm("POST", "/onlineEndpoints/tokened/token").json()
    assert token["tokenType"] == "Bearer"
    assert token["refreshAfterTimeUtc"] < token["expiryTimeUtc"]
    assert emulator.arm("POST", "/onlineEndpoints/tokened/listKeys").status_code == 400


@pytest.mark.parametrize(
    ("name", "sent", "words"),
    [
        ("refused", {"location": "eastus", "properties": {"authMode": "Key", "trafic": {}}}, "trafic"),
        ("refused", {"location": "eastus", "properties": {"authMode": "Basic"}}, "authMode"),
        ("refused", {"location": "eastus", "properties": {}}, "authMode"),
        ("refused", {"properties": {"authMode": "Key"}}, "location"),
        ("refused", {**body(), "location": "mars"}, "LocationNotAvailableForResourceType"),
        ("refused", body(traffic={"blue": 100}), "blue"),
        ("refused", body(traffic={"blue": "100"}), "whole number"),
        ("refused", body(traffic=[]), "traffic"),
        ("refused", {**body(), "tags": {"a": 1}}, "tags"),
        ("1st", body(), "letter"),
        ("ab", body(), "3 to 32"),
    ],
)
def test_refuses_what_the_service_refuses(emulator, name, sent, words):
    """Bad names, unknown members, wrong types and traffic to nobody are 400 with a reason; nothing is created."""
    answer = emulator.arm("PUT", f"/onlineEndpoints/{name}", json=sent)
    assert answer.status_code == 400
    assert words in answer.text
    assert emulator.arm("GET", f"/onlineEndpoints/{name}").status_code == 404


def test_what_was_under_way_ends_after_a_crash(fresh_emulator, until):
    """An endpoint whose creation a SIGKILL interrupted is created by the next emulator."""
    answer = fresh_emulator.arm("PUT", "/onlineEndpoints/durable", json=body())
    keys = fresh_emulator.arm("POST", "/onlineEndpoints/durable/listKeys").json()
    fresh_emulator.kill()
    fresh_emulator.start()
    until(lambda: status(fresh_emulator, answer)["status"] == "Succeeded")
    assert fresh_emulator.arm("POST", "/onlineEndpoints/durable/listKeys").json() == keys
